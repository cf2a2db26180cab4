-- when: before deploy
-- The words of a suggested answer, so that whoever judges it sees that very answer, and what a person made of it in the reply.

alter table asoe.answers add column words text;   -- of one that was suggested; what was sent is a message
grant update (words) on asoe.answers to asoe_app;

alter table asoe.answer_judgements drop constraint answer_judgements_source_check;
alter table asoe.answer_judgements add constraint answer_judgements_source_check
  check (source in ('client', 'person', 'audit', 'reply'));
