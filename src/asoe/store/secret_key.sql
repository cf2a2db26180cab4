-- name: remembered
-- null before the secret key is first used
select fingerprint from asoe.secret_key_fingerprint

-- name: claim
-- what the database remembers afterwards
select asoe.claim_secret_key($1, $2)

-- name: forget
-- owner connection only
delete from asoe.secret_key_fingerprint
