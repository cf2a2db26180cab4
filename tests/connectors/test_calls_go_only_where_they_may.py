"""The guard: allow-list, checked and pinned addresses, redirects, no proxy of the environment, no cookies."""

from __future__ import annotations

import httpx
import pytest
from connector_cast import Stub, answer

from asoe.connectors.contract import ConnectorError
from asoe.connectors.outbound import Outbound
from asoe.connectors.places import forbidden, origin_of, rules_for

PRIVATE = (
    "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.3.4", "192.168.1.1", "100.64.0.1", "0.0.0.0", "::1", "::", "fc00::1",
    "fd12:3456::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1", "240.0.0.1",
    "255.255.255.255", "198.18.0.1", "224.0.0.1", "ff02::1",
)  # fmt: skip
METADATA = (
    "169.254.169.254",
    "169.254.1.1",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "100.100.100.200",
    "::ffff:169.254.169.254",
)


@pytest.mark.parametrize("address", [*PRIVATE, *METADATA])
def test_addresses_that_are_not_the_worlds_are_refused(address):
    assert forbidden(address, allow_private=False) is not None


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34"])
def test_addresses_of_the_world_are_not(address):
    assert forbidden(address, allow_private=False) is None


@pytest.mark.parametrize("address", [*METADATA, "224.0.0.1", "0.0.0.0"])
def test_what_nobody_has_business_with_is_refused_even_to_those_who_may_be_private(address):
    assert forbidden(address, allow_private=True) is not None


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "::1", "fc00::1"])
def test_private_addresses_are_reached_when_allowed(address):
    assert forbidden(address, allow_private=True) is None


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://crm.example", "without TLS"),
        ("ftp://crm.example", "is no address"),
        ("crm.example", "is no address"),
        ("https://", "is no address"),
        ("https://user:pass@crm.example", "no user and password"),
    ],
)
def test_an_address_that_cannot_be_called_is_refused_when_configured(url, problem):
    with pytest.raises(ValueError, match=problem):
        rules_for(url)


def test_an_origin_is_scheme_host_and_port():
    assert origin_of("https://CRM.Example./x") == ("https", "crm.example", 443)
    assert origin_of("http://crm.example:8080") == ("http", "crm.example", 8080)
    assert rules_for("https://a.example", hosts=["b.example:8443"]).origins == {
        ("https", "a.example", 443),
        ("https", "b.example", 8443),
    }


def guard(base_url: str, answers: list[list[str]] | None = None, **rules) -> tuple[Outbound, list[str]]:
    """A guard with a resolver that gives these answers, one look-up after the other."""
    asked: list[str] = []

    async def resolver(host: str, _: int) -> list[str]:
        asked.append(host)
        assert answers, f"{host} was looked up once too often"
        return answers.pop(0)

    made = Outbound(rules_for(base_url, allow_http=True, **rules), name="crm", resolver=resolver if answers else None)
    return made, asked


async def get(outbound: Outbound, url: str, **options):
    try:
        return await outbound.send(httpx.Request("GET", url), what="find", timeout=3, **options)
    finally:
        await outbound.close()


async def refusal(outbound: Outbound, url: str, method: str = "GET", **options) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        await outbound.send(httpx.Request(method, url), what="find", timeout=3, **options)
    await outbound.close()
    return caught.value


async def test_a_host_that_is_not_on_the_list_is_never_called(system: Stub, other: Stub):
    error = await refusal(guard(system.url, allow_private=True)[0], f"{other.url}/x")
    assert (error.permanent, error.effect) == (True, "none")
    assert "not on the connector's list" in error.message
    assert other.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "127.1", "[::1]"])
async def test_this_machine_is_not_reached_under_any_name(system: Stub, host: str):
    url = f"http://{host}:{system.port}"
    error = await refusal(guard(url)[0], f"{url}/x")
    assert (error.permanent, error.effect) == (True, "none")
    assert "private address" in error.message
    assert system.connections == 0


async def test_a_name_that_leads_to_a_private_address_is_refused(system: Stub):
    url = f"http://crm.example:{system.port}"
    for addresses in (["127.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["::ffff:127.0.0.1"]):
        error = await refusal(guard(url, [addresses])[0], f"{url}/x")
        assert "crm.example is a private address" in error.message
    assert system.connections == 0


async def test_the_address_that_was_checked_is_the_one_that_is_called(system: Stub):
    """Rebinding: whatever a second look-up would say, there is none."""
    system.says("/x", {"ok": True})
    url = f"http://crm.example:{system.port}"
    outbound, asked = guard(url, [["127.0.0.1"], ["10.9.9.9"]], allow_private=True)
    answered = await get(outbound, f"{url}/x")
    assert answered.content == b'{"ok": true}'
    assert asked == ["crm.example"]
    assert system.heard[0].headers["host"] == f"crm.example:{system.port}"


async def test_each_new_connection_is_checked_again(system: Stub):
    system.says("/x", {"ok": True}, connection="close")
    url = f"http://crm.example:{system.port}"
    outbound, asked = guard(url, [["127.0.0.1"], ["169.254.169.254"]], allow_private=True)
    await outbound.send(httpx.Request("GET", f"{url}/x"), what="find", timeout=3)
    error = await refusal(outbound, f"{url}/x")
    assert "metadata" in error.message
    assert len(asked) == 2
    assert len(system.heard) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_read_follows_redirects_within_its_origin(system: Stub, status: int):
    system.says("/old", None, status, location="/new")
    system.says("/new", {"found": 1})
    answered = await get(guard(system.url, allow_private=True)[0], f"{system.url}/old")
    assert answered.content == b'{"found": 1}'


async def test_no_redirect_leads_to_another_host(system: Stub, other: Stub):
    places = [f"{other.url}/x", "http://169.254.169.254/latest", f"https://127.0.0.1:{system.port}/x", "//127.0.0.1:1/x",
              "file:///etc/passwd", "http://user@127.0.0.1/x", ""]  # fmt: skip
    for place in places:
        system.says("/old", None, 302, location=place)
        error = await refusal(guard(system.url, allow_private=True)[0], f"{system.url}/old")
        assert (error.permanent, error.effect) == (True, "none"), place
        assert "redirect" in error.message
    assert other.connections == 0


async def test_redirects_do_not_go_round_for_ever(system: Stub):
    system.says("/old", None, 302, location="/old")
    error = await refusal(guard(system.url, allow_private=True)[0], f"{system.url}/old")
    assert "too many" in error.message
    assert len(system.heard) == 4


@pytest.mark.parametrize(("status", "effect"), [(301, "unknown"), (303, "unknown"), (307, "none"), (308, "none")])
async def test_an_act_follows_no_redirect(system: Stub, status: int, effect: str):
    system.says("/old", None, status, location="/new")
    error = await refusal(guard(system.url, allow_private=True)[0], f"{system.url}/old", "POST", may_have_effect=True)
    assert (error.permanent, error.effect) == (True, effect)
    assert [each.path for each in system.heard] == ["/old"]


async def test_proxies_of_the_environment_are_not_asked(system: Stub, other: Stub, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, other.url)
    system.says("/x", {})
    await get(guard(system.url, allow_private=True)[0], f"{system.url}/x")
    assert len(system.heard) == 1
    assert other.connections == 0


async def test_no_cookie_is_kept_or_sent(system: Stub):
    system.on("/x", answer({}, set_cookie="session=1; Path=/"))
    outbound, _ = guard(system.url, allow_private=True)
    await outbound.send(httpx.Request("GET", f"{system.url}/x"), what="find", timeout=3)
    await get(outbound, f"{system.url}/x")
    assert all("cookie" not in each.headers for each in system.heard)
