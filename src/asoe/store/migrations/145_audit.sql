-- when: before deploy
-- The audit trail: facts sealed in blocks, each with the hash of the one before. Only asoe.seal_facts writes blocks; no role of the
-- service changes or removes one. What is said of a client is digested with a salt of its own, which goes when the client is erased.

create table asoe.audit_blocks (
  org_id uuid not null references public.organizations (id) on delete cascade,
  number bigint not null,
  fact_ids bigint[] not null default '{}',
  subjects uuid[] not null default '{}',          -- the contact whose salt is in the inner digest, or null
  inner_digests bytea[] not null default '{}',    -- ticket, session, actor and data
  digests bytea[] not null default '{}',          -- id, kind, time and inner digest
  previous bytea not null,
  hash bytea not null,
  mark bytea,                                     -- the hash under the installation's secret key, which the database does not know
  until_xid xid8 not null default '0',            -- the readers' cursor; no part of the hash, since a restore may count anew
  until_id bigint not null default 0,
  sealed_at timestamptz not null default clock_timestamp(),
  primary key (org_id, number)
);

create table asoe.audit_salts (
  org_id uuid not null references public.organizations (id) on delete cascade,
  contact_id uuid not null,
  salt bytea not null,
  primary key (org_id, contact_id)
);

alter table asoe.audit_blocks enable row level security;
alter table asoe.audit_blocks force row level security;
create policy audit_blocks_read on asoe.audit_blocks for select to asoe_app
  using (org_id = (select asoe.staff_org()) and ((select asoe.is_admin()) or (select asoe.current_role()) = 'engine'));
create policy audit_blocks_mark on asoe.audit_blocks for update to asoe_app
  using (org_id = (select asoe.staff_org()) and (select asoe.current_role()) = 'engine' and mark is null)
  with check (org_id = (select asoe.staff_org()) and (select asoe.current_role()) = 'engine');
grant select, update (mark) on asoe.audit_blocks to asoe_app;

alter table asoe.audit_salts enable row level security;
alter table asoe.audit_salts force row level security;
create policy audit_salts_admin on asoe.audit_salts for all to asoe_app
  using (org_id = (select asoe.staff_org()) and ((select asoe.is_admin()) or (select asoe.current_role()) = 'engine'));
grant select, delete on asoe.audit_salts to asoe_app;

-- Seal the next facts, none of them in flight; the block, or nothing when there is nothing to seal. asoe.domain.audit says how the
-- digests are made, in another language: what this writes is proved by what that computes.
create function asoe.seal_facts(max_rows integer) returns table (number bigint, hash bytea, facts integer)
language plpgsql security definer set search_path = '' as $$
#variable_conflict use_column
declare
  org uuid := asoe.current_org();
  last asoe.audit_blocks;
  now_sealed timestamptz;
begin
  if org is null or asoe.current_role() <> 'engine' then
    raise insufficient_privilege using message = 'only the engine of the organization seals its facts';
  end if;
  perform pg_advisory_xact_lock(hashtextextended(org::text, 145));
  select b.* into last from asoe.audit_blocks b where b.org_id = org order by b.number desc limit 1;
  now_sealed := clock_timestamp();
  return query
    with next as materialized (
      select f.id, f.xid, f.kind, (extract(epoch from f.at) * 1000000)::bigint as at,
        jsonb_build_array(f.ticket_id, f.session_id, f.actor, f.data)::text as told, f.ticket_id,
        case when f.kind <> 'contact.erased' and f.data ->> 'contact_id' ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
          then (f.data ->> 'contact_id')::uuid end as named
      from asoe.facts f
      where f.org_id = org and (f.xid, f.id) > (coalesce(last.until_xid, '0'), coalesce(last.until_id, 0))
        and f.xid < pg_snapshot_xmin(pg_current_snapshot())
      order by f.xid, f.id limit least(max_rows, 5000)
    ), about as materialized (
      select n.*, c.id as subject
      from next n
      left join public.support_tickets t on t.org_id = org and t.id = n.ticket_id
      left join lateral (select k.id from asoe.contacts k
        where k.org_id = org and k.erased_at is null and (k.id in (n.named, t.contact_id) or k.user_id = t.user_id)
        order by k.id = n.named desc nulls last, k.id = t.contact_id desc nulls last, k.id limit 1) c on true
    ), made as (
      insert into asoe.audit_salts (org_id, contact_id, salt)
      select org, a.subject, uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
      from about a where a.subject is not null
        and not exists (select from asoe.audit_salts s where s.org_id = org and s.contact_id = a.subject)
      group by a.subject
      returning contact_id, salt
    ), salts as (
      select contact_id, salt from made
      union all select s.contact_id, s.salt from asoe.audit_salts s
        where s.org_id = org and s.contact_id in (select a.subject from about a)
    ), inner_part as (
      select a.*, sha256(coalesce(s.salt, '') || convert_to(a.told, 'UTF8')) as inner_digest
      from about a left join salts s on s.contact_id = a.subject
    ), leaves as (
      select i.*, sha256(convert_to(format('%s|%s|%s|', i.id, i.kind, i.at), 'UTF8') || i.inner_digest) as digest
      from inner_part i
    )
    insert into asoe.audit_blocks as b (org_id, number, fact_ids, subjects, inner_digests, digests, previous, hash, until_xid,
      until_id, sealed_at)
    select org, coalesce(last.number, 0) + 1, array_agg(l.id order by l.xid, l.id), array_agg(l.subject order by l.xid, l.id),
      array_agg(l.inner_digest order by l.xid, l.id), array_agg(l.digest order by l.xid, l.id),
      coalesce(last.hash, decode(repeat('00', 32), 'hex')),
      sha256(coalesce(last.hash, decode(repeat('00', 32), 'hex'))
        || convert_to(format('%s|%s|%s|%s|', org, coalesce(last.number, 0) + 1, count(*),
          (extract(epoch from now_sealed) * 1000000)::bigint), 'UTF8')
        || string_agg(l.digest, ''::bytea order by l.xid, l.id)),
      (array_agg(l.xid order by l.xid desc, l.id desc))[1], (array_agg(l.id order by l.xid desc, l.id desc))[1], now_sealed
    from leaves l having count(*) > 0
    returning b.number, b.hash, cardinality(b.fact_ids);
end
$$;
revoke all on function asoe.seal_facts(integer) from public;
grant execute on function asoe.seal_facts(integer) to asoe_app;
