"""Whatever goes wrong on the way, in the middle or on the other side: the error says whether it may have taken effect."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from functools import partial

import pytest
import structlog
from connector_cast import SECRET, Stub, answer, authority, endless, http, opening, raw, silent, stub

from asoe.connectors.contract import ConnectorError
from asoe.connectors.http import open_http

OPERATIONS = {
    "find": {"method": "GET", "path": "/find"},
    "pay": {"method": "POST", "path": "/pay", "risk": "costly", "parameters": {"amount": {}}},
    "pay_once": {"method": "POST", "path": "/pay", "risk": "costly", "repeats": "by_key"},
}


async def failure(base_url: str, action: str, *, timeout: float = 0.4, **config) -> ConnectorError:
    connector = http(base_url, config.pop("secrets", None), operations=OPERATIONS, **config)
    is_read = action == "find"
    call = (connector.read if is_read else partial(connector.act, key="k1"))(action, {}, timeout=timeout)
    try:
        with pytest.raises(ConnectorError) as caught:
            await call
    finally:
        await connector.close()
    return caught.value


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
BROKEN = {
    "closed at once": raw(),
    "closed within the head": raw(HEAD[:20]),
    "closed within the body": raw(HEAD + b"content-length: 100\r\n\r\n{"),
    "no HTTP": raw(b"SSH-2.0-OpenSSH\r\n\r\n"),
    "silent": silent,
    "slow head": endless(b"HTTP/1.1 200 OK\r\n", b"x-more: y\r\n", 0.05),
    "slow body": endless(HEAD + b"content-length: 100000\r\n\r\n", b" ", 0.05),
    "endless chunks": endless(HEAD + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n", 0.05),
    "declared too large": raw(HEAD + b"content-length: 999999999\r\n\r\n", then_close=False),
    "too large": endless(HEAD + b"transfer-encoding: chunked\r\n\r\n", b"4000\r\n" + b" " * 0x4000 + b"\r\n"),
    "head too large": endless(b"HTTP/1.1 200 OK\r\n", b"x-more: " + b"y" * 8000 + b"\r\n"),
    "compressed": answer(b"\x1f\x8b\x08\x00", content_encoding="gzip"),
    "no JSON": answer(b"{oops"),
    "nested": answer(b"[" * 5000 + b"]" * 5000),
    "a fault": answer({}, 500),
    "away": answer({}, 503),
}


@pytest.mark.parametrize("how", BROKEN)
async def test_a_broken_answer_to_an_act_leaves_its_effect_unknown(system: Stub, how: str):
    system.on("/pay", BROKEN[how])
    started = time.monotonic()
    error = await failure(system.url, "pay", largest_bytes=100_000)
    assert error.effect == "unknown"
    assert error.is_missing is False
    assert time.monotonic() - started < 30
    assert len(system.heard) == 1, "an act is sent once"


@pytest.mark.parametrize("how", BROKEN)
async def test_a_broken_answer_to_a_read_has_no_effect(system: Stub, how: str):
    system.on("/find", BROKEN[how])
    assert (await failure(system.url, "find", largest_bytes=100_000)).effect == "none"


@pytest.mark.parametrize("how", ["declared too large", "too large"])
async def test_no_more_is_read_than_the_limit(system: Stub, how: str):
    system.on("/find", BROKEN[how])
    error = await failure(system.url, "find", timeout=20, largest_bytes=100_000)
    assert "more than 100000 bytes" in error.message


async def test_nothing_is_done_where_nobody_listens():
    async with stub() as gone:
        url = gone.url
    error = await failure(url, "pay")
    assert (error.permanent, error.effect) == (False, "none")
    assert "no connection came about" in error.message


@pytest.mark.parametrize(
    ("status", "permanent", "effect", "is_missing", "retry_after"),
    [
        (400, True, "none", False, None),
        (401, True, "none", False, None),
        (402, True, "none", False, None),
        (403, True, "none", False, None),
        (404, True, "none", True, None),
        (408, False, "unknown", False, 1.0),
        (409, True, "none", False, None),
        (410, True, "none", True, None),
        (422, True, "none", False, None),
        (429, False, "none", False, 1.0),
        (500, False, "unknown", False, None),
        (502, False, "unknown", False, None),
        (504, False, "unknown", False, None),
    ],
)
async def test_a_status_says_whether_the_act_was_done(
    system: Stub, status: int, permanent: bool, effect: str, is_missing: bool, retry_after: float | None
):
    system.says("/pay", {"code": "no_way"}, status)
    error = await failure(system.url, "pay")
    assert (error.permanent, error.effect, error.is_missing) == (permanent, effect, is_missing)
    assert error.retry_after == retry_after
    assert str(status) in error.message
    assert "no_way" in error.message or status in {401, 403}


async def test_a_key_in_use_means_that_an_earlier_call_is_still_going_on(system: Stub):
    system.says("/pay", {}, 409, retry_after="7")
    error = await failure(system.url, "pay_once")
    assert (error.permanent, error.effect, error.retry_after) == (False, "unknown", 7.0)


async def test_too_many_calls_are_told_to_wait(system: Stub):
    system.says("/find", {}, 429, retry_after="12")
    assert (await failure(system.url, "find")).retry_after == 12.0
    system.says("/find", {}, 503, retry_after="Wed, 21 Oct 2099 07:28:00 GMT")
    assert (await failure(system.url, "find")).retry_after == 86400.0


async def test_a_read_is_sent_again_when_a_kept_connection_was_torn(system: Stub):
    system.on("/find", answer({"n": 1}), raw(), answer({"n": 2}))
    connector = http(system.url, operations=OPERATIONS)
    assert await connector.read("find", {}, timeout=2) == {"n": 1}
    assert await connector.read("find", {}, timeout=2) == {"n": 2}
    await connector.close()
    assert len(system.heard) == 3


async def test_an_act_is_not_sent_again_when_a_kept_connection_was_torn(system: Stub):
    system.on("/pay", answer({"n": 1}), raw(), answer({"n": 2}))
    connector = http(system.url, operations=OPERATIONS)
    await connector.act("pay", {}, key="1", timeout=2)
    with pytest.raises(ConnectorError) as caught:
        await connector.act("pay", {}, key="2", timeout=2)
    await connector.close()
    assert caught.value.effect == "unknown"
    assert len(system.heard) == 2


# --- TLS ---


async def test_only_a_trusted_certificate_for_that_very_name_will_do(tmp_path):
    ours, theirs = authority(), authority()
    async with stub(ours.server(tmp_path, "127.0.0.1")) as good, stub(ours.server(tmp_path, "crm.example")) as misnamed:
        for server in (good, misnamed):
            server.says("/pay", {"done": True})
        connector = http(good.url, operations=OPERATIONS, ca=ours.pem)
        assert await connector.act("pay", {}, key="k", timeout=3) == {"done": True}
        await connector.close()
        for url, ca in ((good.url, None), (good.url, theirs.pem), (misnamed.url, ours.pem)):
            error = await failure(url, "pay", timeout=3, **({"ca": ca} if ca else {}))
            assert (error.permanent, error.effect) == (True, "none")
            assert "certificate is not to be trusted" in error.message
        assert len(good.heard) == 1
        assert misnamed.heard == []


async def test_a_server_that_speaks_no_tls_gets_nothing():
    got = b""

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal got
        got += await reader.read(4096)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        error = await failure(url, "pay", timeout=3)
    assert error.effect == "none"
    assert "no TLS connection came about" in error.message
    assert b"POST" not in got


# --- secrets ---


@pytest.mark.parametrize("status", [200, 401, 422, 500])
async def test_a_secret_is_in_no_error_even_when_the_other_side_says_it(system: Stub, status: int, caplog):
    caplog.set_level(logging.DEBUG)
    system.says("/pay", {"error": SECRET, "code": SECRET}, status)
    with structlog.testing.capture_logs() as logs:
        error = await failure(
            system.url,
            "pay",
            secrets={"token": SECRET},
            auth={"type": "bearer"},
            error={"path": "error", "code": "code"},
        )
    assert system.heard[0].headers["authorization"] == f"Bearer {SECRET}"
    told = "".join(traceback.format_exception(error))
    chain = [error]
    while chain[-1].__cause__ or chain[-1].__context__:
        chain.append(chain[-1].__cause__ or chain[-1].__context__)
    for text in (told, *map(repr, chain), caplog.text, str(logs)):
        assert SECRET not in text


async def test_a_key_in_the_query_is_in_no_error_and_no_log(system: Stub, caplog):
    caplog.set_level(logging.DEBUG)
    system.on("/find", raw(HEAD[:20]))
    auth = {"type": "api_key", "in": "query", "name": "key"}
    error = await failure(system.url, "find", secrets={"api_key": SECRET}, auth=auth)
    assert f"key={SECRET}" in system.heard[0].target
    assert SECRET not in "".join(traceback.format_exception(error)) + caplog.text


def test_a_secret_is_in_no_repr():
    made = opening({"base_url": "https://crm.example", "auth": {"type": "bearer"}}, {"token": SECRET})
    connector = open_http(made)
    assert SECRET not in repr(made) + repr(connector) + repr(connector._outbound) + repr(connector._credentials)


async def test_client_text_in_arguments_is_in_no_error(system: Stub):
    operations = {
        "find": {
            "method": "GET",
            "path": "/c/{email}",
            "parameters": {"email": {"in": "path", "schema": {"type": "integer"}}},
        }
    }
    connector = http(system.url, operations=operations)
    with pytest.raises(ConnectorError) as caught:
        await connector.read("find", {"email": "ana@client.example"}, timeout=1)
    assert "ana@" not in caught.value.message
    assert "email" in caught.value.message
    operations["find"]["parameters"]["email"]["schema"] = {}
    connector = http(system.url, operations=operations)
    with pytest.raises(ConnectorError) as caught:
        await connector.read("find", {"email": "ana@client.example"}, timeout=1)
    await connector.close()
    assert caught.value.is_missing
    assert "ana" not in caught.value.message
