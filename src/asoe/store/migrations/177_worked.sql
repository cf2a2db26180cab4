-- when: before deploy
-- Reports: how long people worked on tickets, as their acts there show it. Tickets that people touched are judged anew.

alter table asoe.insight_tickets
  add column worked integer not null default 0,
  add column worked_seconds bigint not null default 0;
alter table asoe.insight_days
  add column worked bigint not null default 0,
  add column worked_seconds bigint not null default 0;
grant update (worked, worked_seconds) on asoe.insight_tickets to asoe_app;
update asoe.insight_tickets set next_at = now() where judged_at is not null and (by_people = 1 or (resting = 1 and contained = 0));
