-- when: before deploy
-- Digests: a person may have mails that can wait collected at some times of the day. digest_at names the collection a mail is in.

alter table asoe.notification_preferences add column digests time[] not null default '{}';
grant update (digests) on asoe.notification_preferences to asoe_app;

alter table asoe.deliveries add column digest_at timestamptz;
create index deliveries_digest on asoe.deliveries (org_id, recipient, digest_at) where digest_at is not null;
