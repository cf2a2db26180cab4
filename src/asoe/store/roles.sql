-- The roles of ASOE (design 3.2), for any PostgreSQL >= 15. Safe to repeat, safe beside another session that does the same;
-- what exists is left as it is, except for the memberships ASOE relies on. Passwords are set apart (roles.py).
do $roles$
declare
    wanted record;
    is_superuser boolean := (select rolsuper from pg_roles where rolname = current_user);
    has_grant_options boolean := current_setting('server_version_num')::int >= 160000;
    is_member boolean;
begin
    for wanted in
        select * from (values
            ('anon', 'nologin noinherit'),
            ('authenticated', 'nologin noinherit'),
            ('service_role', 'nologin noinherit bypassrls'),
            ('asoe_owner', 'nologin bypassrls'),
            ('asoe_app', 'login inherit nobypassrls'),
            ('asoe_system', 'login inherit nobypassrls')
        ) as t (name, attributes)
        where not exists (select from pg_roles where rolname = t.name)
    loop
        begin
            execute format('create role %I %s', wanted.name, wanted.attributes);
        exception
            when duplicate_object or unique_violation then
                null; -- another session was faster
            when insufficient_privilege then
                raise exception using
                    errcode = 'insufficient_privilege',
                    message = format('%I may not create role %I (%s): %s',
                                     current_user, wanted.name, wanted.attributes, sqlerrm),
                    hint = 'Connect as a role that may (a superuser, or CREATEROLE and BYPASSRLS), or let an administrator create it.';
        end;
    end loop;

    -- asoe_app has what authenticated may, and can never become it.
    if has_grant_options then
        execute $q$select exists (
            select from pg_auth_members m
            where m.roleid = 'authenticated'::regrole and m.member = 'asoe_app'::regrole
              and m.inherit_option and not m.set_option)$q$ into is_member;
    else
        is_member := exists (
            select from pg_auth_members
            where roleid = 'authenticated'::regrole and member = 'asoe_app'::regrole);
    end if;
    if not is_member then
        execute 'grant authenticated to asoe_app'
            || case when has_grant_options then ' with inherit true, set false' else '' end;
    end if;

    -- Migrations run as asoe_owner: whoever made the roles must be able to become it.
    if not is_superuser and not pg_has_role(current_user, 'asoe_owner', case when has_grant_options then 'SET' else 'MEMBER' end) then
        execute format('grant asoe_owner to %I', current_user)
            || case when has_grant_options then ' with inherit true, set true' else '' end;
    end if;
end
$roles$;
