-- when: before deploy
-- Who writes an internal note is there for colleagues, and does not look to the client as if an answer came.

alter table asoe.presences drop constraint presences_state_check;
alter table asoe.presences add constraint presences_state_check check (state in ('viewing', 'noting', 'writing'));
