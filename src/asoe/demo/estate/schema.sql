-- The estate's own store. Items are documents: their shapes are the models in models.py, checked at every write.

create table if not exists items (
  kind text not null,
  id text not null,
  account_id text not null,
  email text,               -- lower case; what accounts and users are found by
  beats integer not null default 0, -- background work left on this item
  body text not null,
  primary key (kind, id)
) without rowid;
create index if not exists items_account on items (kind, account_id, id);
create index if not exists items_email on items (kind, email) where email is not null;
create index if not exists items_moving on items (kind, id) where beats > 0;

-- One row for each write that was accepted: who did what to what, with which key, and what it changed.
create table if not exists effects (
  id integer primary key,
  at text not null,
  actor text not null,
  operation text not null,
  kind text not null,
  item_id text not null,
  account_id text not null,
  idempotency_key text,
  request text not null,
  changes text not null     -- [{kind, id, before, after}]; [] when nothing had to be changed
);
create index if not exists effects_account on effects (account_id, id);
create index if not exists effects_key on effects (idempotency_key) where idempotency_key is not null;

create table if not exists idempotency (
  actor text not null,
  key text not null,
  fingerprint text not null,
  status integer not null,
  answer text not null,
  effect_id integer not null references effects (id),
  primary key (actor, key)
) without rowid;

-- Failures on demand: consumed one call at a time.
create table if not exists failures (
  id integer primary key,
  method text not null,
  path text not null,
  mode text not null,
  calls_left integer not null,
  seconds real not null
);

create table if not exists estate (
  only integer primary key check (only = 1),
  seed integer not null,
  now text not null,
  next_number integer not null
);
