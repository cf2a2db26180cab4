-- when: before deploy
-- Sign-in through an OpenID provider: the account of an address that the provider has verified, if it is a member's.

create function asoe.system_find_person(address text) returns table (user_id uuid)
language sql stable security definer set search_path = '' as $$
  select u.id from auth.users u
  where lower(u.email) = lower(address) and exists (select 1 from asoe.system_memberships(u.id))
$$;
revoke all on function asoe.system_find_person(text) from public;
grant execute on function asoe.system_find_person(text) to asoe_system;
