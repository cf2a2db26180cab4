"""Who calls is proven or refused: forged, foreign, expired, unsigned and key-confused tokens, and keys in every bad state."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey, RSAKey

from asoe.api import tokens
from asoe.api.auth import Authenticator
from asoe.config import Settings
from asoe.desk import people
from asoe.domain.errors import Denied, Invalid, Unavailable
from asoe.store.organizations import suspend_organization

SECRET = "an HS256 secret of more than thirty-two bytes"
ISSUER = "https://login.example"
AUDIENCE = "asoe"
RSA = RSAKey.generate_key(2048, {"kid": "rsa-1", "use": "sig"})
EC = ECKey.generate_key("P-256", {"kid": "ec-1"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed-1"})
STRANGER = RSAKey.generate_key(2048, {"kid": "rsa-1"})


@dataclass
class Clock:
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, **time) -> None:
        self.now += timedelta(**time)


@dataclass
class Desk:
    database: object
    clock: Clock


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def desk(database, clock):
    return Desk(database, clock)


@pytest.fixture
def jwks_file(tmp_path):
    path = tmp_path / "jwks.json"
    publish(path, RSA, EC, ED)
    return path


@pytest.fixture
def auth(database, clock, jwks_file):
    """Takes HS256 and published keys both, the hardest case to keep apart."""
    return Authenticator(database, settings(jwt_secret=SECRET, jwt_jwks_file=jwks_file), clock)


def settings(**more):
    values = {"jwt_issuer": ISSUER, "jwt_audience": AUDIENCE, "key_cache_seconds": 2.0, **more}
    return Settings(_env_file=None, **values)


def publish(path, *keys):
    path.write_text(json.dumps(KeySet(list(keys)).as_dict(private=False)))


def claims(account, clock, **more):
    now = int(clock().timestamp())
    made = {"iss": ISSUER, "aud": AUDIENCE, "sub": str(account.user_id), "iat": now, "exp": now + 600, **more}
    return {name: value for name, value in made.items() if value is not None}


def sign(payload, key=None, alg="HS256", **header):
    key = OctKey.import_key(SECRET) if key is None else key
    kid = {"kid": key.kid} if key.kid else {}
    return jwt.encode({"alg": alg, **kid, **header}, payload, key, registry=tokens.SignatureRegistry([alg]))


def raw(header, payload, signature=b""):
    parts = [json.dumps(header).encode(), json.dumps(payload).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def bearer(token, **more):
    return {"authorization": f"Bearer {token}", **more}


async def refused(auth, token, code="bad_token", **headers):
    with pytest.raises(Denied) as caught:
        await auth.authenticate(bearer(token, **headers))
    assert caught.value.code == code
    assert caught.value.unproven
    assert token not in caught.value.message


# --- tokens that are good ---


@pytest.mark.parametrize(
    ("key", "alg"),
    [(None, "HS256"), (RSA, "RS256"), (RSA, "PS512"), (EC, "ES256"), (ED, "EdDSA"), (ED, "Ed25519")],
    ids=lambda one: one if isinstance(one, str) else "",
)
async def test_a_good_token_is_its_member_with_the_role_of_the_database(auth, acme, clock, key, alg):
    token = sign(claims(acme.agent, clock, role="owner", app_metadata={"role": "owner"}), key, alg)
    principal = await auth.authenticate(bearer(token))
    assert (principal.user_id, principal.org_id) == (acme.agent.user_id, acme.org_id)
    assert (principal.role, principal.name) == ("agent", "Ben")


async def test_times_are_allowed_thirty_seconds_of_difference(auth, acme, clock):
    now = int(clock().timestamp())
    await auth.authenticate(bearer(sign(claims(acme.agent, clock, exp=now - 29, nbf=now + 29, iat=now + 29))))
    await refused(auth, sign(claims(acme.agent, clock, exp=now - 30)), "expired_token")
    await refused(auth, sign(claims(acme.agent, clock, nbf=now + 31)))
    await refused(auth, sign(claims(acme.agent, clock, iat=now + 31)))


# --- tokens that are not ---


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", None, 7, ["HS256"], {"a": 1}])
async def test_an_unsigned_token_is_refused_however_it_is_spelled(auth, acme, clock, alg):
    good = claims(acme.owner, clock)
    await refused(auth, raw({"alg": alg, "typ": "JWT"}, good))
    signed = hmac.new(SECRET.encode(), b"whatever", hashlib.sha256).digest()
    await refused(auth, raw({"alg": alg, "typ": "JWT"}, good, signed))


async def test_a_public_key_is_no_secret(auth, database, acme, clock, jwks_file):
    """Key confusion: HS256 with the published key, in each form somebody could take it for a secret."""
    good = claims(acme.owner, clock)
    pem = RSA.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    forms = [pem, pem.strip(), RSA.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)]
    forms += [json.dumps(RSA.as_dict(private=False)).encode(), RSA.as_dict(private=False)["n"].encode(), b""]
    only_published = Authenticator(database, settings(jwt_jwks_file=jwks_file), clock)
    for form in forms:
        for header in ({"alg": "HS256", "kid": "rsa-1"}, {"alg": "HS256"}):
            unsigned = raw(header, good).rpartition(".")[0]
            signature = hmac.new(form, unsigned.encode(), hashlib.sha256).digest()
            token = f"{unsigned}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
            await refused(auth, token)
            await refused(only_published, token)


@pytest.mark.parametrize("alg", ["HS384", "HS512", "ES256K", "RSA-OAEP", "dir"])
async def test_an_algorithm_outside_the_configured_ones_is_refused(auth, acme, clock, alg):
    unsigned = raw({"alg": alg}, claims(acme.owner, clock)).rpartition(".")[0]
    digest = {"HS384": hashlib.sha384, "HS512": hashlib.sha512}.get(alg, hashlib.sha256)
    signature = base64.urlsafe_b64encode(hmac.new(SECRET.encode(), unsigned.encode(), digest).digest()).decode()
    await refused(auth, f"{unsigned}.{signature.rstrip('=')}")


async def test_an_installation_with_a_secret_only_takes_no_published_algorithm_and_the_reverse(
    database, acme, clock, jwks_file
):
    by_secret = Authenticator(database, settings(jwt_secret=SECRET), clock)
    by_keys = Authenticator(database, settings(jwt_jwks_file=jwks_file), clock)
    await refused(by_secret, sign(claims(acme.owner, clock), RSA, "RS256"))
    await refused(by_keys, sign(claims(acme.owner, clock)))


async def test_a_forged_token_is_refused(auth, acme, clock):
    good = claims(acme.owner, clock)
    await refused(auth, sign(good, STRANGER, "RS256"))
    await refused(auth, sign(good, OctKey.import_key("another secret of more than thirty-two bytes")))
    # the token's own key proves nothing
    await refused(auth, sign(good, STRANGER, "RS256", jwk=STRANGER.as_dict(private=False)))
    await refused(auth, sign(good, STRANGER, "RS256", jku="https://attacker.example/jwks.json"))
    # a key of another kind under a known name
    await refused(auth, sign(good, ECKey.generate_key("P-256", {"kid": "rsa-1"}), "ES256"))
    await refused(auth, sign(good, ECKey.generate_key("P-384", {"kid": "ec-1"}), "ES384"))
    header, _, signature = sign(claims(acme.client, clock)).split(".")
    body = base64.urlsafe_b64encode(json.dumps(good).encode()).decode().rstrip("=")
    await refused(auth, f"{header}.{body}.{signature}")
    await refused(auth, f"{header}.{body}.")


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "https://other.example"}, {"iss": None}, {"iss": [ISSUER]}, {"iss": ""},
        {"aud": "another-service"}, {"aud": None}, {"aud": []}, {"aud": ["another-service"]}, {"aud": {"asoe": 1}},
        {"sub": None}, {"sub": ""}, {"sub": "root"}, {"sub": 7}, {"sub": "' or 1=1 --"},
        {"exp": None}, {"exp": "tomorrow"}, {"exp": True}, {"exp": "NaN"}, {"nbf": "x"}, {"org_id": "acme"},
    ],
    ids=str,
)  # fmt: skip
async def test_a_foreign_or_incomplete_token_is_refused(auth, acme, clock, wrong):
    await refused(auth, sign(claims(acme.owner, clock, **wrong)))


async def test_an_expired_token_is_refused(auth, acme, clock):
    token = sign(claims(acme.owner, clock))
    await auth.authenticate(bearer(token))
    clock.pass_by(seconds=631)
    await refused(auth, token, "expired_token")


@pytest.mark.parametrize(
    "text",
    ["x", "a.b", "a.b.c", "a.b.c.d.e", "...", "..", "e30.e30.e30", "W10.e30.e30", "ImFsZyI.e30.e30", "x" * 9000,
     "\x00.\x00.\x00", "eyJhbGciOiJIUzI1NiJ9.e30", "é.é.é", "bnVsbA.e30.e30", "[" * 4000 + ".a.a",
     base64.urlsafe_b64encode(b"[" * 2500).decode() + ".e30.e30"],
)  # fmt: skip
async def test_nonsense_is_refused_and_never_an_accident(auth, text):
    await refused(auth, text)


async def test_critical_headers_we_do_not_know_and_tokens_of_another_kind_are_refused(auth, acme, clock):
    good = claims(acme.owner, clock)
    unsigned = raw({"alg": "HS256", "crit": ["exp2"], "exp2": 1}, good).rpartition(".")[0]
    signature = hmac.new(SECRET.encode(), unsigned.encode(), hashlib.sha256).digest()
    await refused(auth, f"{unsigned}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}")
    await refused(auth, sign(good, typ="logout+jwt"))
    await auth.authenticate(bearer(sign(good, typ="at+jwt")))


async def test_published_secrets_weak_keys_and_encryption_keys_prove_nothing(database, acme, clock, tmp_path):
    path = tmp_path / "jwks.json"
    with pytest.warns(Warning, match="2048"):
        weak = RSAKey.generate_key(1024, {"kid": "weak"})
    shared = {"kty": "oct", "kid": "shared", "k": base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("=")}
    sealed = EC.as_dict(private=False) | {"kid": "sealed", "use": "enc"}
    listed = [shared, sealed, weak.as_dict(private=False), {"kty": "AKP", "kid": "new"}, "no key", {"kty": "RSA"}]
    path.write_text(json.dumps({"keys": listed}))
    auth = Authenticator(database, settings(jwt_jwks_file=path), clock)
    good = claims(acme.owner, clock)
    await refused(auth, sign(good, kid="shared"))
    await refused(auth, sign(good, EC, "ES256", kid="sealed"))
    await refused(auth, sign(good, weak, "RS256"))


def test_a_public_key_as_secret_and_a_token_without_issuer_are_refused_at_start(database, clock, jwks_file):
    pem = RSA.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    for wrong in (
        {"jwt_secret": pem},
        {"jwt_secret": SECRET, "jwt_issuer": None},
        {"jwt_jwks_file": jwks_file, "jwt_audience": None},
        {"jwt_jwks_url": "http://login.example/jwks.json"},
        {"jwt_jwks_url": "file:///etc/passwd"},
    ):
        with pytest.raises(Invalid) as caught:
            Authenticator(database, settings(**wrong), clock)
        assert caught.value.code == "bad_settings"
        assert caught.value.fields


# --- published keys ---


async def test_a_new_key_is_found_at_once_and_a_withdrawn_one_ends_in_ten_minutes(auth, acme, clock, jwks_file):
    await auth.authenticate(bearer(sign(claims(acme.owner, clock), RSA, "RS256")))
    fresh = RSAKey.generate_key(2048, {"kid": "rsa-2"})
    publish(jwks_file, fresh)
    clock.pass_by(seconds=31)
    assert await auth.authenticate(bearer(sign(claims(acme.owner, clock), fresh, "RS256")))
    await refused(auth, sign(claims(acme.owner, clock), RSA, "RS256"))
    publish(jwks_file, EC)
    await auth.authenticate(bearer(sign(claims(acme.owner, clock), fresh, "RS256")))
    clock.pass_by(seconds=601)
    await refused(auth, sign(claims(acme.owner, clock), fresh, "RS256"))


async def test_unknown_keys_cannot_make_us_ask_without_end(clock):
    asked = []

    async def load():
        asked.append(1)
        return json.dumps({"keys": [EC.as_dict(private=False)]}).encode()

    published = tokens.PublishedKeys(load, clock)
    for number in range(50):
        assert await published.keys(f"unknown-{number}") == []
    assert len(asked) == 1
    clock.pass_by(seconds=31)
    await published.keys("unknown")
    assert len(asked) == 2
    clock.pass_by(days=-1)
    assert [key.kid for key in await published.keys(None)] == ["ec-1"]
    assert len(asked) == 3


async def test_keys_that_cannot_be_asked_for_serve_an_hour_and_then_nobody_gets_in(clock):
    answers = [json.dumps({"keys": [EC.as_dict(private=False)]}).encode()]

    async def load():
        if not answers:
            raise httpx.ConnectError("down")
        return answers.pop()

    published = tokens.PublishedKeys(load, clock)
    assert await published.keys("ec-1")
    clock.pass_by(minutes=50)
    assert await published.keys("ec-1")
    clock.pass_by(minutes=11)
    with pytest.raises(Unavailable) as caught:
        await published.keys("ec-1")
    assert caught.value.code == "token_keys_unavailable"


async def test_keys_are_fetched_from_a_url_without_following_it_elsewhere(database, acme, clock):
    listed = json.dumps({"keys": [EC.as_dict(private=False)]}).encode()
    answers = {
        "/good": b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(listed), listed),
        "/moved": b"HTTP/1.1 302 Found\r\nLocation: /good\r\nContent-Length: 0\r\n\r\n",
        "/broken": b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
        "/nonsense": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        "/endless": b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + b" " * 2_000_000,
    }

    async def serve(reader, writer):
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        with suppress(ConnectionError):
            writer.write(answers[path])
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1")
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    token = sign(claims(acme.agent, clock), EC, "ES256")
    async with server:
        for path in answers:
            auth = Authenticator(database, settings(jwt_jwks_url=address + path), clock)
            if path == "/good":
                assert (await auth.authenticate(bearer(token))).user_id == acme.agent.user_id
                continue
            with pytest.raises(Unavailable) as caught:
                await auth.authenticate(bearer(token))
            assert caught.value.retry_after


# --- which organization ---


async def join(owner_dsn, user_id, org_id, role="client"):
    connection = await asyncpg.connect(owner_dsn)
    await connection.execute("insert into public.user_organizations values ($1, $2)", user_id, org_id)
    await connection.execute(
        "insert into asoe.members (org_id, user_id, role) values ($1, $2, $3)", org_id, user_id, role
    )
    await connection.close()


async def test_the_header_then_the_claim_then_the_only_membership_chooses(auth, acme, globex, owner_dsn, clock):
    await join(owner_dsn, acme.agent.user_id, globex.org_id)
    both = [acme.org_id, globex.org_id]
    for org_id, role in zip(both, ("agent", "client"), strict=True):
        by_claim = await auth.authenticate(bearer(sign(claims(acme.agent, clock, org_id=str(org_id)))))
        other = next(one for one in both if one != org_id)
        header = {"x-organization-id": str(org_id)}
        by_header = await auth.authenticate(bearer(sign(claims(acme.agent, clock, org_id=str(other))), **header))
        assert (by_claim.org_id, by_claim.role) == (by_header.org_id, by_header.role) == (org_id, role)
    with pytest.raises(Invalid) as caught:
        await auth.authenticate(bearer(sign(claims(acme.agent, clock))))
    assert (caught.value.code, caught.value.unreadable) == ("which_organization", True)
    assert all(str(org_id) in caught.value.message for org_id in both)


async def test_nobody_acts_where_it_is_no_member(auth, acme, globex, clock):
    for token, header in (
        (sign(claims(acme.owner, clock)), {"x-organization-id": str(globex.org_id)}),
        (sign(claims(acme.owner, clock)), {"x-organization-id": str(uuid4())}),
        (sign(claims(acme.owner, clock, org_id=str(globex.org_id))), {}),
        (sign({**claims(acme.owner, clock), "sub": str(uuid4())}), {}),
        (sign(claims(acme.engine, clock)), {}),
    ):
        with pytest.raises(Denied) as caught:
            await auth.authenticate(bearer(token, **header))
        assert (caught.value.code, caught.value.unproven) == ("not_a_member", False)


async def test_a_disabled_member_and_a_suspended_organization_are_out_at_once(auth, desk, acme, owner_dsn, clock):
    token = sign(claims(acme.agent, clock))
    await auth.authenticate(bearer(token))
    await people.disable_member(desk, acme.owner, acme.agent.user_id)
    with pytest.raises(Denied) as caught:
        await auth.authenticate(bearer(token))
    assert caught.value.code == "not_a_member"
    await people.enable_member(desk, acme.owner, acme.agent.user_id)
    await auth.authenticate(bearer(token))
    await suspend_organization(owner_dsn, acme.org_id)
    with pytest.raises(Denied) as caught:
        await auth.authenticate(bearer(token))
    assert caught.value.code == "organization_suspended"


async def test_a_changed_role_counts_at_the_next_call(auth, desk, acme, clock):
    token = sign(claims(acme.agent, clock))
    await people.change_role(desk, acme.owner, acme.agent.user_id, "client")
    assert (await auth.authenticate(bearer(token))).role == "client"


async def test_ambiguous_and_malformed_headers_are_refused(auth, acme, clock):
    token = sign(claims(acme.agent, clock))
    for headers, code in (
        ({"Authorization": f"Bearer {token}", "authorization": f"Bearer {token}"}, "repeated_header"),
        (bearer(token, **{"X-Organization-Id": "acme"}), "bad_organization_id"),
        (bearer(token, **{"X-Organization-Id": ""}), "bad_organization_id"),
    ):
        with pytest.raises(Invalid) as caught:
            await auth.authenticate(headers)
        assert (caught.value.code, caught.value.unreadable) == (code, True)
    for headers in ({}, {"Authorization": ""}, {"Authorization": "Bearer"}, {"Authorization": "Basic YTpi"}):
        with pytest.raises(Denied) as caught:
            await auth.authenticate(headers)
        assert (caught.value.code, caught.value.unproven) == ("no_credentials", True)


# --- keys ---


async def test_a_key_is_its_own_account_with_its_own_role(auth, desk, acme, clock):
    made = await people.create_key(desk, acme.owner, name="Shop", role="agent", scopes=["tickets:read"])
    principal = await auth.authenticate({"AUTHORIZATION": f"bearer {made.token}"})
    assert (principal.org_id, principal.role, principal.name) == (acme.org_id, "agent", "Shop")
    assert (principal.user_id, principal.key_id) == (made.key.user_id, made.key.id)
    assert principal.scopes == {"tickets:read"}
    # its account answers to the key alone
    with pytest.raises(Denied) as caught:
        await auth.authenticate(bearer(sign(claims(principal, clock))))
    assert caught.value.code == "not_a_member"


async def test_a_wrong_key_is_refused_by_its_own_reason(auth, desk, acme, globex, owner_dsn, clock):
    made = await people.create_key(desk, acme.owner, name="Shop", role="agent", expires_at=clock() + timedelta(hours=1))
    flipped = made.token[:-1] + ("A" if made.token[-1] != "A" else "B")
    for wrong in (flipped, made.token[:-1], made.token + "A", "asoe_x", "asoe_\x00", f"asoe_abcdefgh_{'é' * 43}"):
        await refused(auth, wrong, "bad_key")
    assert await auth.authenticate(bearer(made.token))
    with pytest.raises(Denied) as caught:
        await auth.authenticate(bearer(made.token, **{"x-organization-id": str(globex.org_id)}))
    assert caught.value.code == "wrong_organization"
    clock.pass_by(minutes=59, seconds=59)
    assert await auth.authenticate(bearer(made.token))
    clock.pass_by(seconds=1)  # remembered a second ago, and expired all the same
    await refused(auth, made.token, "expired_key")
    lasting = await people.create_key(desk, acme.owner, name="Shop", role="agent")
    await suspend_organization(owner_dsn, acme.org_id)
    with pytest.raises(Denied) as caught:
        await auth.authenticate(bearer(lasting.token))
    assert caught.value.code == "organization_suspended"


async def test_a_revoked_key_ends_here_at_once_and_elsewhere_in_seconds_without_seeing_rows(
    database, auth, desk, acme, clock
):
    elsewhere = Authenticator(database, settings(jwt_secret=SECRET), clock)
    made = await people.create_key(desk, acme.owner, name="Shop", role="agent")
    remembered = [await one.authenticate(bearer(made.token)) for one in (auth, elsewhere)][1]
    assert await people.list_members(desk, remembered)
    await people.revoke_key(desk, acme.owner, made.key.id)
    auth.forget_key(made.key.id)
    await refused(auth, made.token, "revoked_key")
    clock.pass_by(seconds=1)
    assert await elsewhere.authenticate(bearer(made.token)) == remembered
    assert await people.list_members(desk, remembered) == []
    clock.pass_by(seconds=1)
    await refused(elsewhere, made.token, "revoked_key")


async def test_a_clock_set_back_does_not_prolong_a_revoked_key(auth, desk, acme, clock):
    made = await people.create_key(desk, acme.owner, name="Shop", role="agent")
    await auth.authenticate(bearer(made.token))
    await people.revoke_key(desk, acme.owner, made.key.id)
    clock.pass_by(hours=-1)
    await refused(auth, made.token, "revoked_key")


async def test_the_last_use_is_noted_at_most_once_a_minute(auth, desk, acme, owner_dsn, clock):
    made = await people.create_key(desk, acme.owner, name="Shop", role="agent")
    await auth.authenticate(bearer(made.token))
    (used,) = await people.list_keys(desk, acme.owner)
    assert used.last_used_at is not None
    connection = await asyncpg.connect(owner_dsn)
    await connection.execute("update asoe.api_keys set last_used_at = null")
    await connection.close()
    for seconds, is_noted in ((30, False), (29, False), (2, True)):
        clock.pass_by(seconds=seconds)
        await auth.authenticate(bearer(made.token))
        (used,) = await people.list_keys(desk, acme.owner)
        assert (used.last_used_at is not None) is is_noted


async def test_guesses_are_not_remembered(auth):
    for number in range(20):
        await refused(auth, f"asoe_abcdefgh_{number:043d}", "bad_key")
    assert not auth._remembered
    assert not auth._noted


async def test_without_configured_tokens_only_keys_get_in(database, acme, clock):
    auth = Authenticator(database, settings(), clock)
    await refused(auth, sign(claims(acme.owner, clock)), "bad_key")
