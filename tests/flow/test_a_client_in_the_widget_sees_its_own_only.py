"""Who is in front of the widget is proven, and sees its own conversations: what another client, page or organization gets."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import httpx
import pytest
from chat_cast import PAGE, Chat, set_up, signed
from flow_cast import Clock, Connect, problem
from structlog.testing import capture_logs

from asoe.api.throttle import Throttle
from asoe.app import App
from asoe.desk import client_identity, people, privacy, session, widget
from asoe.desk.client_identity import CLIENT_MARK
from asoe.desk.widget import WidgetChange
from asoe.store import contacts

if TYPE_CHECKING:
    from tests.conftest import Org

Visit = Callable[..., Chat]


@pytest.fixture
def visit(nobody: httpx.AsyncClient, acme: Org) -> Visit:
    """A client with a browser of its own."""
    return lambda org=acme, **headers: Chat(nobody, org.slug, headers=headers)


@pytest.fixture
async def secret(app: App, acme: Org) -> str:
    return await set_up(app, acme.owner)


async def test_a_signed_client_writes_and_finds_its_history_from_any_browser(
    secret: str, visit: Visit, app: App, acme: Org
) -> None:
    ana = visit()
    begun = await ana.start(identity=signed(secret, sub="u-1", email="ana@client.example", name="Ana"))
    assert begun.json()["name"] == "Ana"
    assert begun.json()["visitor"] is None
    made = await ana.open(page="https://shop.acme.example/cart")
    assert [said["role"] for said in made["messages"]] == ["user"]
    assert made["state"] == "thinking"
    elsewhere = visit()
    await elsewhere.start(identity=signed(secret, sub="u-1"))
    listed = (await elsewhere.get("")).json()["items"]
    assert [each["id"] for each in listed] == [made["id"]]
    assert listed[0]["last"] == {"role": "user", "text": "Where is the invoice of May?"}
    async with app.desk.database.org_reading(acme.engine) as connection:
        (known,) = await contacts.list_contacts(connection, acme.org_id)
    assert (known.external_id, known.email, known.name) == ("u-1", "ana@client.example", "Ana")


async def test_a_visitor_is_known_again_by_its_key_and_by_nothing_else(secret: str, visit: Visit) -> None:
    visitor = visit()
    await visitor.start()
    made = await visitor.open()
    again = visit()
    await again.start(visitor=visitor.visitor)
    assert [each["id"] for each in (await again.get("")).json()["items"]] == [made["id"]]
    key = visitor.visitor or ""
    for wrong in (key[:-2], key.replace("asoe_visitor_", CLIENT_MARK), visitor.token, "x", ""):
        stranger = visit()
        assert (await stranger.start(visitor=wrong)).status_code == 200
        assert (await stranger.get("")).json()["items"] == []


async def test_another_clients_conversation_does_not_exist(secret: str, visit: Visit, app: App, acme: Org) -> None:
    ana, eve, visitor = visit(), visit(), visit()
    await ana.start(identity=signed(secret, sub="u-1"))
    await eve.start(identity=signed(secret, sub="u-2"))
    await visitor.start()
    made = await ana.open()
    sent = await ana.post(f"/{made['id']}/files", files={"file": ("a.txt", b"mine", "text/plain")})
    assert sent.status_code == 201
    own = await eve.open("Something else about the login")
    for other in (eve, visitor):
        assert made["id"] not in (await other.get("")).text
        one = f"/{made['id']}"
        problem(await other.get(one), 404, "conversation_missing")
        problem(await other.get(f"{one}/events"), 404, "conversation_missing")
        problem(await other.get(f"{one}/files/{sent.json()['id']}"), 404, "conversation_missing")
        problem(await other.post(f"{one}/messages", {"text": "x"}), 404, "conversation_missing")
        problem(await other.post(f"{one}/rating", {"helped": True}), 404, "conversation_missing")
        problem(await other.post(f"{one}/person"), 404, "conversation_missing")
        problem(await other.post(f"{one}/writing", {"is_writing": True}), 404, "conversation_missing")
        stolen = {"file": ("b.txt", b"x", "text/plain")}
        problem(await other.post(f"{one}/files", files=stolen), 404, "conversation_missing")
    problem(await eve.get(f"/{own['id']}/files/{sent.json()['id']}"), 404, "attachment_missing")
    assert (await ana.get(f"/{made['id']}/files/{sent.json()['id']}")).content == b"mine"


async def test_a_token_is_good_in_its_own_organization_until_it_expires(
    secret: str, visit: Visit, app: App, acme: Org, globex: Org, clock: Clock, owner: httpx.AsyncClient
) -> None:
    await set_up(app, globex.owner)
    ana = visit()
    await ana.start(identity=signed(secret, sub="u-1"))
    made = await ana.open()
    abroad = visit(globex)
    abroad.token = ana.token
    problem(await abroad.get(""), 401, "bad_client_token")
    problem(await abroad.get(f"/{made['id']}"), 401, "bad_client_token")
    keyed = await owner.get("/api/widget/acme/conversations")
    problem(keyed, 401, "bad_client_token")
    refused = await ana.http.get("/api/support/tickets", headers={"Authorization": f"Bearer {ana.token}"})
    assert refused.status_code == 401, "a client token opens the widget's routes only"
    body, _, signature = ana.token.partition(".")
    other = f"{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"  # the last letter carries bits that say nothing
    for forged in (f"{body}.{other}", f"{body[:-4]}AAAA.{signature}", body, CLIENT_MARK, CLIENT_MARK + "."):
        abroad = visit()
        abroad.token = forged
        problem(await abroad.get(""), 401, "bad_client_token")
    problem(await visit().get(""), 401, "no_credentials")
    renewed = await ana.http.post("/api/widget/acme/renew", headers={"Authorization": f"Bearer {ana.token}"})
    assert renewed.status_code == 200
    clock.pass_by(minutes=61)
    problem(await ana.get(""), 401, "expired_client_token")


async def test_a_proof_is_renewed_for_half_a_day_only(secret: str, app: App, acme: Org, clock: Clock) -> None:
    engine = acme.engine
    async with app.desk.database.org_reading(engine) as connection:
        shown = await widget.widgets.find(connection, acme.org_id)
    admitted = await client_identity.admit(app.desk, engine, shown)
    for _ in range(12):
        clock.pass_by(minutes=59)
        admitted = client_identity.renew(app.desk, admitted.client)
    clock.pass_by(minutes=59)
    with pytest.raises(client_identity.Denied) as refused:
        client_identity.renew(app.desk, admitted.client)
    assert refused.value.code == "expired_client_token"


async def test_an_identity_counts_only_as_the_organization_signed_it(
    secret: str, visit: Visit, app: App, acme: Org, globex: Org
) -> None:
    theirs = await set_up(app, globex.owner)
    now = int(time.time())
    unsigned = signed(secret, sub="u-1").rsplit(".", 1)[0] + "."
    none = "eyJhbGciOiJub25lIn0." + signed(secret, sub="u-1").split(".")[1] + "."
    wrong = {
        "another organization's secret": signed(theirs, sub="u-1"),
        "a guess": signed("guess" * 10, sub="u-1"),
        "no signature": unsigned,
        "algorithm none": none,
        "nobody": signed(secret),
        "empty": signed(secret, sub=" "),
        "a number": signed(secret, sub=7),
        "a visitor of ours": signed(secret, sub=f"visitor:{uuid4()}"),
        "half a character": signed(secret, sub="\ud800"),
        "no address": signed(secret, sub="u-9", email="nonsense"),
        "for ever": signed(secret, sub="u-1", exp=now + 86400 * 365),
        "without end": signed(secret, sub="u-1", exp=None),
        "beyond all time": signed(secret, sub="u-1", exp=10**30),
        "not yet": signed(secret, sub="u-1", nbf=now + 3600),
        "too long": "a" * 5000,
        "nothing": ".",
    }
    for name, identity in wrong.items():
        refused = await visit().start(identity=identity)
        assert refused.status_code == 401, name
        problem(refused, 401, "bad_identity")
    problem(await visit().start(identity=signed(secret, sub="u-1", exp=now - 3600)), 401, "expired_identity")


async def test_a_new_secret_takes_over_in_a_day_or_at_once(
    secret: str, visit: Visit, app: App, acme: Org, clock: Clock
) -> None:
    newer = (await widget.make_secret(app.desk, acme.owner)).secret
    for good in (secret, newer):
        assert (await visit().start(identity=signed(good, sub="u-1"))).status_code == 200
    clock.pass_by(hours=25)
    in_time = int(clock.now.timestamp()) + 600
    problem(await visit().start(identity=signed(secret, sub="u-1", exp=in_time)), 401, "bad_identity")
    newest = (await widget.make_secret(app.desk, acme.owner, ends_earlier=True)).secret
    problem(await visit().start(identity=signed(newer, sub="u-1", exp=in_time)), 401, "bad_identity")
    assert (await visit().start(identity=signed(newest, sub="u-1", exp=in_time))).status_code == 200


async def test_only_pages_of_allowed_origins_get_an_answer(secret: str, visit: Visit, app: App, acme: Org) -> None:
    origins = [PAGE, "https://*.acme.example"]
    await widget.change_widget(app.desk, acme.owner, WidgetChange(origins=origins))
    evil = ("https://evil.example", "http://shop.acme.example", "https://acme.example", "https://xacme.example", "null")
    for origin in (*evil, f"{PAGE}.evil.example", f"{PAGE}:444"):
        stranger = visit(Origin=origin)
        refused = await stranger.start()
        problem(refused, 403, "origin_not_allowed")
        asked = await stranger.http.options(
            "/api/widget/acme/start", headers={"Origin": origin, "Access-Control-Request-Method": "POST"}
        )
        assert asked.status_code == 403
        assert "access-control-allow-origin" not in {**refused.headers, **asked.headers}
    for origin in (PAGE, "https://www.acme.example"):
        friend = visit(Origin=origin)
        begun = await friend.start()
        assert begun.headers["access-control-allow-origin"] == origin
        assert "access-control-allow-credentials" not in begun.headers
        asked = await friend.http.options(
            "/api/widget/acme/conversations", headers={"Origin": origin, "Access-Control-Request-Method": "POST"}
        )
        assert asked.status_code == 204
        assert "Idempotency-Key" in asked.headers["access-control-allow-headers"]
    assert (await visit(Origin="http://asoe.test").start()).status_code == 200, "our own frame"


async def test_a_widget_that_is_off_or_for_known_clients_only_says_so(
    secret: str, visit: Visit, app: App, acme: Org, owner: httpx.AsyncClient
) -> None:
    visitor = visit()
    await visitor.start()
    await visitor.open()
    assert (await owner.patch("/api/widget", json={"takes_anonymous": False})).status_code == 200
    problem(await visit().start(), 401, "identity_wanted")
    problem(await visitor.get(""), 401, "identity_wanted")
    assert (await visit().start(identity=signed(secret, sub="u-1"))).status_code == 200
    assert (await owner.patch("/api/widget", json={"is_on": False})).status_code == 200
    problem(await visit().start(identity=signed(secret, sub="u-1")), 404, "widget_missing")
    problem(await Chat(visitor.http, "nobody").start(), 404, "widget_missing")


async def test_whoever_is_blocked_or_erased_is_out(secret: str, visit: Visit, app: App, acme: Org) -> None:
    ana = visit()
    await ana.start(identity=signed(secret, sub="u-1"))
    made = await ana.open()
    async with app.desk.database.org_reading(acme.engine) as connection:
        (known,) = await contacts.list_contacts(connection, acme.org_id)
    await people.block_contact(app.desk, acme.owner, known.id)
    problem(await ana.get(f"/{made['id']}"), 403, "contact_blocked")
    problem(await visit().start(identity=signed(secret, sub="u-1")), 403, "contact_blocked")
    await people.block_contact(app.desk, acme.owner, known.id, blocked=False)
    await privacy.erase_contact(app.desk, acme.owner, known.id)
    problem(await ana.get(f"/{made['id']}"), 404, "conversation_missing")
    assert (await ana.get("")).json()["items"] == []
    problem(await ana.post("", {"text": "hello again"}), 404, "contact_missing")
    anew = visit()
    await anew.start(identity=signed(secret, sub="u-1"))
    assert (await anew.get("")).json()["items"] == []


async def test_what_staff_keeps_to_itself_is_not_in_a_conversation(
    secret: str, visit: Visit, app: App, acme: Org, agent: httpx.AsyncClient
) -> None:
    ana = visit()
    await ana.start(identity=signed(secret, sub="u-1"))
    made = await ana.open()
    await session.add_note(app.desk, acme.agent, UUID(made["id"]), "Difficult customer.")
    inner = {"file": ("inner.txt", b"inner", "text/plain")}
    path = f"/api/support/ticket/{made['id']}/attachments"
    kept = (await agent.post(path, files=inner, data={"is_internal": "true"})).json()
    seen = await ana.get(f"/{made['id']}")
    assert "Difficult" not in seen.text
    assert seen.json()["files"] == []
    problem(await ana.get(f"/{made['id']}/files/{kept['id']}"), 404, "attachment_missing")
    assert set(seen.json()) == {
        "id", "number", "state", "language", "may_rate", "may_answer", "team_writes", "created_at", "updated_at",
        "messages", "files",
    }  # fmt: skip


async def test_each_side_sees_that_the_other_writes_and_never_what(
    secret: str, visit: Visit, app: App, acme: Org, globex: Org, agent: httpx.AsyncClient
) -> None:
    ana = visit()
    await ana.start(identity=signed(secret, sub="u-1"))
    made = await ana.open()
    one, here = f"/{made['id']}", f"/api/support/ticket/{made['id']}/presence"
    assert made["team_writes"] is False
    assert (await ana.post(f"{one}/writing", {"is_writing": True})).status_code == 204
    seen = (await agent.post(here, json={"state": "viewing"})).json()
    assert (seen["client_writes"], seen["others"], seen["collides"]) == (True, [], False)
    assert (await ana.get(one)).json()["team_writes"] is False, "looking is not writing"
    await agent.post(here, json={"state": "noting"})
    assert (await ana.get(one)).json()["team_writes"] is False, "a note is not for the client"
    await agent.post(here, json={"state": "writing"})
    told = await ana.get(one)
    assert told.json()["team_writes"] is True
    assert "Ben" not in told.text, "to the client it is the team"
    assert (await ana.post(f"{one}/writing", {"is_writing": False})).status_code == 204
    assert (await agent.post(here, json={"state": "left"})).json()["client_writes"] is False
    assert (await ana.get(one)).json()["team_writes"] is False
    problem(await ana.post(f"{one}/writing", {"is_writing": True, "text": "my password is"}), 422, "invalid_request")
    problem(await ana.post(f"{one}/writing", {}), 422, "invalid_request")
    problem(await visit().post(f"{one}/writing", {"is_writing": True}), 401, "no_credentials")
    async with app.desk.database.org_reading(acme.engine) as connection:
        kinds = await connection.fetch("select distinct kind from asoe.facts where org_id = $1", acme.org_id)
    assert not any("writing" in row["kind"] or "presence" in row["kind"] for row in kinds)


async def test_a_client_that_calls_too_often_is_slowed_alone(
    secret: str, visit: Visit, transport: httpx.ASGITransport
) -> None:
    ana, eve = visit(), visit()
    await ana.start(identity=signed(secret, sub="u-1"))
    await eve.start(identity=signed(secret, sub="u-2"))
    transport.app.state.gate.fronts.clients = Throttle("3/minute", setting="test")  # type: ignore[attr-defined]
    for _ in range(3):
        assert (await ana.get("")).status_code == 200
    slowed = await ana.get("")
    problem(slowed, 429, "rate_limited")
    assert int(slowed.headers["retry-after"]) > 0
    assert (await eve.get("")).status_code == 200


async def test_only_owners_and_admins_set_the_widget_up(
    owner: httpx.AsyncClient, agent: httpx.AsyncClient, client: httpx.AsyncClient, connect: Connect, globex: Org
) -> None:
    for nobody in (agent, client):
        problem(await nobody.get("/api/widget"), 403, "role_not_permitted")
        problem(await nobody.patch("/api/widget", json={"is_on": True}), 403, "role_not_permitted")
        problem(await nobody.post("/api/widget/secret"), 403, "role_not_permitted")
    given = {
        "is_on": True,
        "origins": ["https://Shop.Acme.example/"],
        "accent": "#AA3300",
        "greetings": {"de": "Hallo"},
    }
    changed = (await owner.patch("/api/widget", json=given)).json()
    assert (changed["origins"], changed["accent"]) == (["https://shop.acme.example"], "#aa3300")
    made = await owner.post("/api/widget/secret", headers={"Idempotency-Key": "one"})
    again = await owner.post("/api/widget/secret", headers={"Idempotency-Key": "one"})
    assert made.json()["secret"].startswith("asoe_ws_")
    assert again.json()["secret"] is None
    assert "secret" not in (await owner.get("/api/widget")).json()
    theirs = await connect(globex.owner)
    assert (await theirs.get("/api/widget")).json()["origins"] == []
    for wrong in (
        ["ftp://a.example"],
        ["https://a.example/path"],
        ["*"],
        ["https://*"],
        ["https://a b"],
        ["https://a'b"],
    ):
        problem(await owner.patch("/api/widget", json={"origins": wrong}), 422, "bad_widget")
    problem(await owner.patch("/api/widget", json={"greetings": {"xx": "?"}}), 422, "bad_widget")


async def test_an_origin_that_is_not_listed_is_named_in_the_log_once(
    secret: str, visit: Visit, app: App, acme: Org
) -> None:
    await widget.change_widget(app.desk, acme.owner, WidgetChange(origins=[PAGE]))
    with capture_logs() as lines:
        for origin in ("https://forgotten.example", "https://forgotten.example", "null", "https://a b.example", PAGE):
            await visit(Origin=origin).start()
    noted = [line for line in lines if line["event"] == "widget.origin_not_listed"]
    assert [(line["org"], line["origin"]) for line in noted] == [("acme", "https://forgotten.example")]
    assert "Settings > Widget" in noted[0]["what_to_do"]
