-- when: before deploy
-- Who wrote what in a mail, as a digest: some programs give all their mails one Message-ID, and a second one with other words is no copy.

alter table asoe.mails add column words_hash bytea;
