-- when: before deploy
-- What a pass went by, so that it can be judged again: ids, classes, counts and positions in the conversation, never words.

alter table asoe.orchestrator_runs add column basis jsonb not null default '{}';
