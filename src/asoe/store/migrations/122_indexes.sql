-- when: before deploy
-- What keeps lists, searches and counts as fast with a million tickets as with ten thousand: every one of them reads about a
-- page of rows, in the order it is asked for.

-- most severe first, then oldest, among the few that are open
create index support_tickets_open on public.support_tickets
  (org_id, array_position(array['critical', 'high', 'medium', 'low'], severity), created_at, id)
  where status in ('open', 'triaging', 'in_progress');
create index support_tickets_category_page on public.support_tickets (org_id, category, created_at desc, id desc);
create index support_tickets_severity_page on public.support_tickets (org_id, severity, created_at desc, id desc);
create index support_tickets_user_page on public.support_tickets (org_id, user_id, created_at desc, id desc)
  where user_id is not null;
-- what waits for one person or one team: the inbox
create index support_tickets_assignee_status_page on public.support_tickets
  (org_id, assignee, status, created_at desc, id desc) where assignee is not null;
create index support_tickets_team_status_page on public.support_tickets (org_id, team, status, created_at desc, id desc)
  where team is not null;
create index support_tickets_waiting_page on public.support_tickets (org_id, waiting_for, created_at desc, id desc)
  where waiting_for is not null;

-- One index answers every question by words, tags and rare classes, newest first, without reading all that match: beside its
-- words a ticket carries marks for its organization and for the day and week it came in, so that the matches of one day, of
-- some weeks, of all time are each an intersection inside the index. No words of a text start with '#'.
create function asoe.ticket_marks(org uuid, created timestamptz, tags text[], intent text, language text, channel text,
  is_spam boolean) returns tsvector
language sql immutable parallel safe set search_path = '' as $$
  select array_to_tsvector(array_remove(array[
      '#org/' || org,
      '#day/' || org || '/' || floor(extract(epoch from created at time zone 'UTC') / 86400)::integer,
      '#week/' || org || '/' || floor(extract(epoch from created at time zone 'UTC') / 604800)::integer,
      '#intent/' || intent,
      '#language/' || language,
      '#channel/' || channel,
      case when is_spam then '#spam' end
    ]::text[] || array(select '#tag/' || left(tag, 100) from unnest(tags) tag), null))
$$;

revoke all on function asoe.ticket_marks(uuid, timestamptz, text[], text, text, text, boolean) from public;
-- whoever inserts a ticket computes its generated column
grant execute on function asoe.ticket_marks(uuid, timestamptz, text[], text, text, text, boolean) to authenticated, asoe_app;

drop index public.support_tickets_search;
drop index public.support_tickets_tags;
alter table public.support_tickets drop column search;
alter table public.support_tickets add column search tsvector generated always as (
  setweight(to_tsvector('simple', left(subject, 500)), 'A') || to_tsvector('simple', left(body, 20000))
  || asoe.ticket_marks(org_id, coalesce(created_at, 'epoch'), tags, intent, language, channel, is_spam)) stored;
-- entries that wait to be sorted in are read by every search: keep them few
create index support_tickets_search on public.support_tickets using gin (search) with (gin_pending_list_limit = 512);

-- Full-text operators are not leakproof, so under row-level security their index would never be used. This function asks the
-- same two questions first (which organization, whose tickets) and then uses it. `words` is what somebody typed, `marks` a
-- tsquery of marks. Newest first behind (before, before_id), at most max_rows. It looks at the newest two days, then at as many
-- weeks as should hold what is still wanted, by what those days held, then at the rest: so it reads about what it returns,
-- whether a word is in half of all tickets or in a dozen.
drop function asoe.search_ticket_ids(text, integer);
create function asoe.search_ticket_ids(words text, marks text, max_rows integer, before timestamptz default null,
  before_id uuid default null) returns table (id uuid, created_at timestamptz)
language plpgsql stable security definer set search_path = '' as $$
#variable_conflict use_column
declare
  org uuid := asoe.current_org();
  caller uuid := auth.uid();
  wanted tsquery := websearch_to_tsquery('simple', words);
  newest timestamptz;
  low timestamptz;
  high timestamptz := 'infinity';
  day integer;
  week integer;
  weeks integer;
  seen integer := 0;
  left_to_find integer := least(max_rows, 2000);
  found_rows integer;
begin
  if org is null or (words is not null and numnode(wanted) = 0) then
    return;
  end if;
  if marks is not null then
    wanted := case when words is null then marks::tsquery else wanted && marks::tsquery end;
  end if;
  if not asoe.is_staff() then  -- a client's own tickets are few
    return query
      select t.id, t.created_at from public.support_tickets t
      where t.org_id = org and t.user_id = caller and t.search @@ wanted
        and (before is null or (t.created_at, t.id) < (before, before_id))
      order by t.created_at desc, t.id desc
      limit left_to_find;
    return;
  end if;
  select t.created_at into newest from public.support_tickets t
    where t.org_id = org and t.created_at <= coalesce(before, 'infinity')
    order by t.created_at desc limit 1;
  if newest is null then
    return;
  end if;
  day := floor(extract(epoch from newest at time zone 'UTC') / 86400);
  week := floor(extract(epoch from newest at time zone 'UTC') / 604800);
  low := to_timestamp((day - 1) * 86400.0);
  for id, created_at in
    with hits as materialized (
      select t.id, t.created_at, t.org_id from public.support_tickets t
      where t.search @@ (wanted && asoe.marks_query('#day/' || org, day - 1, day))
    )
    select hits.id, hits.created_at from hits where hits.org_id = org order by hits.created_at desc, hits.id desc
  loop
    seen := seen + 1;
    if before is null or (created_at, id) < (before, before_id) then
      return next;
      left_to_find := left_to_find - 1;
      if left_to_find = 0 then
        return;
      end if;
    end if;
  end loop;
  if seen > 0 then
    weeks := ceil(2.0 * left_to_find * 2 / seen / 7);  -- twice as many days as it should take
    if weeks <= 20 then
      high := low;
      low := to_timestamp((week - weeks) * 604800.0);
      return query
        with hits as materialized (
          select t.id, t.created_at, t.org_id from public.support_tickets t
          where t.search @@ (wanted && asoe.marks_query('#week/' || org, week - weeks, week))
        )
        select hits.id, hits.created_at from hits
        where hits.org_id = org and hits.created_at >= low and hits.created_at < high
          and (before is null or (hits.created_at, hits.id) < (before, before_id))
        order by hits.created_at desc, hits.id desc
        limit left_to_find;
      get diagnostics found_rows = row_count;
      left_to_find := left_to_find - found_rows;
      if left_to_find <= 0 then
        return;
      end if;
    end if;
  end if;
  return query
    with hits as materialized (
      select t.id, t.created_at, t.org_id from public.support_tickets t
      where t.search @@ (wanted && ('''#org/' || org || '''')::tsquery)
    )
    select hits.id, hits.created_at from hits
    where hits.org_id = org and hits.created_at < low
      and (before is null or (hits.created_at, hits.id) < (before, before_id))
    order by hits.created_at desc, hits.id desc
    limit left_to_find;
end
$$;
revoke all on function asoe.search_ticket_ids(text, text, integer, timestamptz, uuid) from public;
grant execute on function asoe.search_ticket_ids(text, text, integer, timestamptz, uuid) to asoe_app;

-- Any of the marks prefix/low … prefix/high.
create function asoe.marks_query(prefix text, low integer, high integer) returns tsquery
language sql immutable parallel safe set search_path = '' as $$
  select string_agg('''' || prefix || '/' || number || '''', ' | ')::tsquery from generate_series(low, high) number
$$;
revoke all on function asoe.marks_query(text, integer, integer) from public;
