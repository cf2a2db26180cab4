"""Whoever the OpenID provider proves to be a member gets in; a wrong, old, foreign, unsigned or repeated answer opens nothing."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from flow_cast import Clock
from openid_stand_in import CLIENT, SECRET, Provider

sys.path.insert(0, str(Path(__file__).parents[1] / "connectors"))

from connector_cast import served

from asoe.app import App
from asoe.config import Settings
from asoe.desk import people
from asoe.domain.errors import Invalid
from asoe.web.openid import CALLBACK, open_provider
from asoe.web.site import create_site

if TYPE_CHECKING:
    from tests.conftest import Org

OURS = "http://asoe.test"
Visit = Callable[[], httpx.AsyncClient]


@pytest.fixture
async def provider(clock: Clock) -> AsyncIterator[Provider]:
    made = Provider(OURS + CALLBACK, clock)
    async with served(made.app()) as address:
        made.issuer = address
        yield made


@pytest.fixture
async def visit(app: App, acme: Org, globex: Org, provider: Provider) -> AsyncIterator[httpx.AsyncClient]:
    """The browser of somebody who is not signed in."""
    asked = {
        "oidc_issuer": provider.issuer,
        "oidc_client_id": CLIENT,
        "oidc_client_secret": SECRET,
        "public_url": OURS,
    }
    site = create_site(replace(app, settings=app.settings.model_copy(update=asked)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=site), base_url=OURS) as client:
        yield client


async def there(client: httpx.AsyncClient, path: str = "/sign-in/oidc") -> str:
    """Away to the provider, and the address it sends the browser back to."""
    left = await client.get(path)
    assert left.status_code == 303
    async with httpx.AsyncClient() as browser:
        answered = await browser.get(left.headers["location"])
    assert answered.status_code == 303, answered.text
    return answered.headers["location"]


async def come(client: httpx.AsyncClient, path: str = "/sign-in/oidc") -> httpx.Response:
    return await client.get(await there(client, path))


async def is_in(client: httpx.AsyncClient) -> bool:
    return (await client.get("/queue")).status_code == 200


async def test_a_member_gets_in_and_goes_on_where_it_wanted(visit: httpx.AsyncClient, provider: Provider) -> None:
    page = await visit.get("/sign-in?next=/queue")
    assert "/sign-in/oidc?next=/queue" in page.text.replace("%2F", "/")
    back = await come(visit, "/sign-in/oidc?next=/queue%3Fview%3Dmine")
    assert (back.status_code, back.headers["location"]) == (303, "/queue?view=mine")
    assert await is_in(visit)
    assert provider.refused == []


async def test_an_answer_is_good_once_and_for_one_browser(visit: httpx.AsyncClient, app: App) -> None:
    address = await there(visit)
    other = httpx.AsyncClient(transport=visit._transport, base_url=OURS)
    async with other:
        assert (await other.get(address)).status_code == 401, "another browser's sign-in was taken over"
        await there(other)
        assert (await other.get(address)).status_code == 401
        assert not await is_in(other)
    assert (await visit.get(address)).status_code == 303
    assert (await visit.get(address)).status_code == 401
    assert await is_in(visit), "the first one stays"


WRONG: dict[str, dict[str, Any]] = {
    "nonce": {"claims": {"nonce": "another"}},
    "no nonce": {"claims": {"nonce": None}},
    "state": {"state": "another"},
    "issuer of the answer": {"iss": "https://evil.example"},
    "issuer": {"claims": {"iss": "https://evil.example"}},
    "audience": {"claims": {"aud": "somebody-else"}},
    "shared audience": {"claims": {"aud": [CLIENT, "somebody-else"]}},
    "another's authorized party": {"claims": {"azp": "somebody-else"}},
    "expired": {"claims": {"exp": 1_000_000_000}},
    "no end": {"claims": {"exp": None}},
    "from the future": {"claims": {"iat": 9_000_000_000}},
    "unsigned": {"alg": "none"},
    "signed with the public key": {"alg": "HS256"},
    "signed by another": {"other_key": True},
    "unknown key": {"header": {"kid": "two"}},
    "an access token": {"header": {"typ": "at+jwt"}},
    "nobody": {"claims": {"sub": None}},
    "unverified address": {"claims": {"email_verified": False}},
    "address verified in words": {"claims": {"email_verified": "true"}},
    "no address": {"claims": {"email": None}},
    "no member": {"claims": {"email": "mallory@evil.example"}},
}


@pytest.mark.parametrize("lies", WRONG.values(), ids=WRONG)
async def test_a_wrong_answer_opens_nothing(visit: httpx.AsyncClient, provider: Provider, lies: dict[str, Any]) -> None:
    provider.lies = lies
    back = await come(visit)
    assert back.status_code == 401
    assert not await is_in(visit)
    provider.lies = {}
    assert (await come(visit)).status_code == 303, "an honest answer afterwards is taken"


@pytest.mark.parametrize(
    "lies", [{"described_issuer": "https://evil.example"}, {"token_endpoint": "http://evil.example/token"}]
)
async def test_a_provider_that_describes_another_is_not_asked(
    visit: httpx.AsyncClient, provider: Provider, lies: dict[str, Any]
) -> None:
    provider.lies = lies
    assert (await visit.get("/sign-in/oidc")).status_code == 503


async def test_who_was_shut_out_stays_out(visit: httpx.AsyncClient, app: App, acme: Org) -> None:
    await people.disable_member(app.desk, acme.owner, acme.agent.user_id)
    assert (await come(visit)).status_code == 401
    assert not await is_in(visit)


async def test_the_provider_says_no(visit: httpx.AsyncClient) -> None:
    await there(visit)
    refused = await visit.get(f"{CALLBACK}?error=access_denied&error_description=<script>alert(1)</script>")
    assert refused.status_code == 401
    assert "alert(1)" not in refused.text


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"oidc_issuer": "http://idp.example"}, "ASOE_OIDC_ISSUER"),
        ({"oidc_issuer": "https://idp.example", "public_url": OURS}, "ASOE_OIDC_CLIENT_ID"),
        ({"oidc_issuer": "https://idp.example", "oidc_client_id": "x"}, "ASOE_PUBLIC_URL"),
    ],
)
def test_half_of_the_settings_are_refused(settings: dict[str, Any], named: str, clock: Clock) -> None:
    with pytest.raises(Invalid, match=named):
        open_provider(Settings(_env_file=None, **settings), clock)
