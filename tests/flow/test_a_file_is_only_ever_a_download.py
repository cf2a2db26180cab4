"""Attachments: kept as sent, up to their limit, and never anything a browser would show or run from our origin."""

from __future__ import annotations

import hashlib

import httpx
from flow_cast import open_ticket, problem

from asoe.config import Settings


async def test_a_file_comes_back_byte_for_byte_as_a_download(agent: httpx.AsyncClient) -> None:
    made = await open_ticket(agent)
    path = f"/api/support/ticket/{made['id']}/attachments"
    content = bytes(range(256)) * 5000
    added = await agent.post(path, files={"file": ("../../etc/“évil”\r\n.html", content, "text/html")})
    assert added.status_code == 201, added.text
    assert added.json()["size"] == len(content)
    assert added.json()["sha256"] == hashlib.sha256(content).hexdigest()
    assert "/" not in added.json()["name"]
    assert (await agent.get(path)).json()["items"] == [added.json()]
    served = await agent.get(f"/api/support/attachment/{added.json()['id']}")
    assert served.content == content
    assert served.headers["content-type"] == "application/octet-stream"
    assert served.headers["content-disposition"].startswith("attachment; ")
    assert served.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in served.headers["content-security-policy"]
    facts = (await agent.get(f"/api/support/ticket/{made['id']}/timeline")).json()["items"]
    assert facts[-1]["kind"] == "attachment.added"


async def test_a_file_sent_twice_with_one_key_is_attached_once(agent: httpx.AsyncClient) -> None:
    made = await open_ticket(agent)
    path, key = f"/api/support/ticket/{made['id']}/attachments", {"Idempotency-Key": "file"}
    first = await agent.post(path, files={"file": ("a.txt", b"one", "text/plain")}, headers=key)
    again = await agent.post(path, files={"file": ("a.txt", b"one", "text/plain")}, headers=key)
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    other = await agent.post(path, files={"file": ("a.txt", b"two", "text/plain")}, headers=key)
    problem(other, 422, "idempotency_key_reused")
    assert len((await agent.get(path)).json()["items"]) == 1


async def test_a_form_that_is_no_file_is_refused(agent: httpx.AsyncClient, settings: Settings) -> None:
    made = await open_ticket(agent)
    path = f"/api/support/ticket/{made['id']}/attachments"
    problem(await agent.post(path, files={"file": ("a.txt", b"", "text/plain")}), 422, "empty_file")
    problem(await agent.post(path, data={"file": "text"}), 415, "wrong_media_type")
    problem(await agent.post(path, files={"file": (None, b"text")}), 422, "invalid_request")
    problem(await agent.post(path, files={"other": ("a.txt", b"text")}), 422, "invalid_request")
    problem(await agent.post(path, json={"file": "text"}), 415, "wrong_media_type")
    problem(await agent.post(path), 415, "wrong_media_type")
    two = [("file", ("a.txt", b"a", "text/plain")), ("file", ("b.txt", b"b", "text/plain"))]
    assert (await agent.post(path, files=two)).status_code == 400
    broken = {"Content-Type": "multipart/form-data; boundary=x"}
    for content in (b"--x\r\nnonsense", b""):
        assert (await agent.post(path, content=content, headers=broken)).status_code in {400, 422}
    nameless = {"Content-Type": "multipart/form-data"}
    assert (await agent.post(path, content=b"x", headers=nameless)).status_code in {400, 422}
    assert (await agent.get(path)).json()["items"] == []


async def test_a_file_past_the_limit_is_refused(agent: httpx.AsyncClient) -> None:
    made = await open_ticket(agent)
    path = f"/api/support/ticket/{made['id']}/attachments"
    largest = b"x" * 25 * 1024 * 1024
    added = await agent.post(path, files={"file": ("max.bin", largest, "application/zip")})
    assert added.status_code == 201, added.text
    problem(
        await agent.post(path, files={"file": ("more.bin", largest + b"x", "application/zip")}), 422, "file_too_large"
    )
    problem(await agent.post(path, files={"file": ("huge.bin", largest + largest, "x/y")}), 413, "too_large")
    assert len((await agent.get(path)).json()["items"]) == 1
