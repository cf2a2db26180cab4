-- when: before deploy
-- Briefings: each person of the staff may have the figures by mail, daily or weekly, from when it chose so.

alter table asoe.notification_preferences
  add column briefing text not null default 'off' check (briefing in ('off', 'daily', 'weekly')),
  add column briefing_since timestamptz;
grant update (briefing, briefing_since) on asoe.notification_preferences to asoe_app;
