"""The client without `await`, for scripts and threads. Written from asynchronous.py by scripts/write_sync_client.py."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4

import httpx

from asoe.client import shapes, wire
from asoe.client.shapes import read, read_page
from asoe.client.wire import Patience, given
from asoe.domain.errors import AsoeError, Unavailable

_SUPPORT = "/api/support"
_SETTLED = ("resolved", "escalated", "closed")


class Asoe:
    """One key or token at one installation: `with Asoe("https://asoe.example.com", key) as asoe`.

    organization: needed with a JWT of somebody who belongs to several. timeout: seconds for one attempt.
    Every method raises the errors of `asoe.domain.errors`.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        organization: UUID | str | None = None,
        timeout: float = 30.0,
        patience: Patience | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = {"Authorization": f"Bearer {key}", "Accept": "application/json", "User-Agent": "asoe-client"}
        if organization is not None:
            headers["X-Organization-Id"] = str(organization)
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout, transport=transport)
        self._patience = patience or Patience()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    # --- tickets ---

    def create_ticket(
        self,
        *,
        subject: str | None = None,
        body: str | None = None,
        category: str | None = None,
        severity: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        user_id: UUID | None = None,
        contact: Mapping[str, str] | None = None,
        channel: str | None = None,
        cc: Sequence[str] | None = None,
        tags: Sequence[str] | None = None,
        custom_fields: Mapping[str, Any] | None = None,
        relayed: bool | None = None,
        idempotency_key: str | None = None,
    ) -> shapes.Ticket:
        """Open a ticket; it comes back triaged. contact: email, phone, external_id, name of a client without an account.

        relayed: as staff, vouch that these are the client's own words, so that a consent in them counts.
        """
        sent = given(
            subject=subject,
            body=body,
            category=category,
            severity=severity,
            metadata=metadata,
            user_id=user_id,
            contact=contact,
            channel=channel,
            cc=cc,
            tags=tags,
            custom_fields=custom_fields,
            relayed=relayed,
        )
        made = self.request("POST", f"{_SUPPORT}/ticket", json=sent, idempotency_key=idempotency_key)
        return read(shapes.Ticket, made)

    def get_ticket(self, ticket_id: UUID) -> shapes.Ticket:
        return read(shapes.Ticket, self.request("GET", f"{_SUPPORT}/ticket/{ticket_id}"))

    def get_ticket_by_number(self, number: int) -> shapes.Ticket:
        return read(shapes.Ticket, self.request("GET", f"{_SUPPORT}/ticket/number/{number}"))

    def get_tickets(self, *, cursor: str | None = None, limit: int = 50, **filters: Any) -> shapes.Page[shapes.Ticket]:
        """One page, newest first; filters as docs/api/endpoints.md lists them, lists for any of several values."""
        asked = given(cursor=cursor, limit=limit, **filters)
        return read_page(shapes.Ticket, self.request("GET", f"{_SUPPORT}/tickets", params=asked))

    def each_ticket(self, **filters: Any) -> Iterator[shapes.Ticket]:
        """All tickets that fit, page after page."""
        cursor: str | None = None
        while True:
            page = self.get_tickets(cursor=cursor, limit=200, **filters)
            for ticket in page.items:
                yield ticket
            cursor = page.next_cursor
            if cursor is None:
                return

    def get_open_tickets(self, *, limit: int = 200) -> list[shapes.Ticket]:
        """Most severe first, then oldest."""
        found = self.request("GET", f"{_SUPPORT}/open-tickets", params={"limit": limit})
        return read_page(shapes.Ticket, found).items

    def wait_for_ticket(
        self, ticket_id: UUID, *, until: Sequence[str] = _SETTLED, timeout: float = 60.0, every: float = 0.5
    ) -> shapes.Ticket:
        """The ticket once its status is one of `until`, or once it waits for its client; else as it is after `timeout` seconds."""
        ends = time.monotonic() + timeout
        while True:
            ticket = self.get_ticket(ticket_id)
            if ticket.status in until or ticket.waiting_for == "client" or time.monotonic() >= ends:
                return ticket
            time.sleep(every)

    def change_ticket(self, ticket_id: UUID, *, expected_version: int | None = None, **fields: Any) -> shapes.Ticket:
        """Change the fields given: category, severity, intent, team, assignee, tags, cc, custom_fields, subject, metadata."""
        sent = {**fields, **given(expected_version=expected_version)}
        return read(shapes.Ticket, self.request("PATCH", f"{_SUPPORT}/ticket/{ticket_id}", json=sent))

    def move_ticket(self, ticket_id: UUID, status: str, *, expected_version: int | None = None) -> shapes.Ticket:
        """Only along the legal moves."""
        sent = {"status": status, **given(expected_version=expected_version)}
        return read(shapes.Ticket, self.request("POST", f"{_SUPPORT}/ticket/{ticket_id}/status", json=sent))

    def close_ticket(self, ticket_id: UUID) -> shapes.Ticket:
        return read(shapes.Ticket, self.request("POST", f"{_SUPPORT}/ticket/{ticket_id}/close"))

    def reopen_ticket(self, ticket_id: UUID) -> shapes.Ticket:
        return read(shapes.Ticket, self.request("POST", f"{_SUPPORT}/ticket/{ticket_id}/reopen"))

    def merge_ticket(self, ticket_id: UUID, *, into: UUID) -> shapes.Ticket:
        sent = {"into": into}
        return read(shapes.Ticket, self.request("POST", f"{_SUPPORT}/ticket/{ticket_id}/merge", json=sent))

    def add_note(self, ticket_id: UUID, content: str) -> shapes.Message:
        """An internal note; clients never see it."""
        sent = {"content": content}
        return read(shapes.Message, self.request("POST", f"{_SUPPORT}/ticket/{ticket_id}/notes", json=sent))

    def get_timeline(self, ticket_id: UUID, *, cursor: str | None = None) -> shapes.Page[shapes.Fact]:
        """The ticket's facts, oldest first."""
        found = self.request("GET", f"{_SUPPORT}/ticket/{ticket_id}/timeline", params=given(cursor=cursor))
        return read_page(shapes.Fact, found)

    def get_passes(self, ticket_id: UUID) -> list[shapes.Pass]:
        """The engine's passes over the ticket with the part of each agent, newest first."""
        return read_page(shapes.Pass, self.request("GET", f"{_SUPPORT}/ticket/{ticket_id}/runs")).items

    def get_dossier(self, ticket_id: UUID) -> shapes.Escalation:
        return read(shapes.Escalation, self.request("GET", f"{_SUPPORT}/ticket/{ticket_id}/dossier"))

    def attach(self, ticket_id: UUID, name: str, content: bytes, *, is_internal: bool = False) -> shapes.Attachment:
        """Add a file, 25 MB at most."""
        made = self.request(
            "POST",
            f"{_SUPPORT}/ticket/{ticket_id}/attachments",
            files={"file": (name, content)},
            data={"is_internal": str(is_internal).lower()},
        )
        return read(shapes.Attachment, made)

    def get_attachments(self, ticket_id: UUID) -> list[shapes.Attachment]:
        found = self.request("GET", f"{_SUPPORT}/ticket/{ticket_id}/attachments")
        return read_page(shapes.Attachment, found).items

    def download(self, attachment_id: UUID) -> bytes:
        return self._send("GET", f"{_SUPPORT}/attachment/{attachment_id}", None)

    def get_stats(self) -> shapes.Stats:
        return read(shapes.Stats, self.request("GET", f"{_SUPPORT}/stats"))

    # --- sessions ---

    def create_session(self, ticket_id: UUID, *, assistant_type: str = "ai") -> shapes.Session:
        """A further session; each ticket has one from the start."""
        sent = {"assistant_type": assistant_type}
        return read(shapes.Session, self.request("POST", f"{_SUPPORT}/session/{ticket_id}", json=sent))

    def get_session(self, session_id: UUID, *, after_seq: int = 0) -> shapes.SessionWithMessages:
        """With its messages behind `after_seq`, at most 500."""
        found = self.request("GET", f"{_SUPPORT}/session/{session_id}", params={"after_seq": after_seq})
        return read(shapes.SessionWithMessages, found)

    def add_message(
        self,
        session_id: UUID,
        content: str,
        *,
        role: str = "user",
        relayed: bool | None = None,
        idempotency_key: str | None = None,
    ) -> shapes.Message:
        """Clients, and keys for contacts, write as user; staff as agent. relayed: as for create_ticket."""
        made = self.request(
            "POST",
            f"{_SUPPORT}/message/{session_id}",
            json=given(role=role, content=content, relayed=relayed),
            idempotency_key=idempotency_key,
        )
        return read(shapes.Message, made)

    def resolve_session(self, session_id: UUID) -> shapes.Session:
        """By the client: a confirmation. By staff: resolved, unverified."""
        return read(shapes.Session, self.request("POST", f"{_SUPPORT}/session/{session_id}/resolve"))

    def take_over(self, session_id: UUID) -> shapes.Session:
        """The engine is quiet from now on."""
        return read(shapes.Session, self.request("POST", f"{_SUPPORT}/session/{session_id}/take-over"))

    def hand_back(self, session_id: UUID) -> shapes.Session:
        """The engine looks at the ticket anew."""
        return read(shapes.Session, self.request("POST", f"{_SUPPORT}/session/{session_id}/hand-back"))

    def follow(self, session_id: UUID, *, after: str | None = None) -> Iterator[shapes.Change]:
        """What happens in a session, from now on or after the change with id `after`, until the server ends it.

        A broken stream is taken up where it was.
        """
        events = wire.EventReader(last_id=after)
        failed = 0
        while True:
            try:
                with self._http.stream(
                    "GET",
                    f"{_SUPPORT}/session/{session_id}/events",
                    headers={} if events.last_id is None else {"Last-Event-ID": events.last_id},
                    timeout=wire.LISTEN_SECONDS,
                ) as response:
                    if response.status_code != 200:
                        raise wire.error_of(response.status_code, response.headers, response.read())
                    for line in response.iter_lines():
                        failed = 0
                        change = events.take(line)
                        if change is not None:
                            yield change
                failure: AsoeError = Unavailable("The stream ended.", code="connection_lost")
            except httpx.TransportError as error:
                failure = wire.lost(error)
            except AsoeError as error:
                failure = error
            if events.is_closed:
                return
            failed += 1
            if failed >= self._patience.attempts or not wire.may_repeat("GET", has_key=False, error=failure):
                raise failure
            time.sleep(self._patience.wait(failed - 1, failure))

    # --- knowledge ---

    def search_articles(
        self, question: str, *, language: str = "en", product: str | None = None, limit: int = 8
    ) -> list[shapes.Passage]:
        """The passages that fit a question best."""
        sent = given(question=question, language=language, product=product, limit=limit)
        return read_page(shapes.Passage, self.request("POST", "/api/articles/search", json=sent)).items

    def get_article(self, article_id: UUID) -> shapes.Article:
        return read(shapes.Article, self.request("GET", f"/api/articles/{article_id}"))

    def get_articles(
        self, *, cursor: str | None = None, limit: int = 50, **filters: Any
    ) -> shapes.Page[shapes.Article]:
        """Without bodies; filters: status, language, audience, product."""
        asked = given(cursor=cursor, limit=limit, **filters)
        return read_page(shapes.Article, self.request("GET", "/api/articles", params=asked))

    # --- runbooks, runs, approvals ---

    def get_runbooks(self, *, with_retired: bool = False) -> list[shapes.Runbook]:
        found = self.request("GET", f"{_SUPPORT}/runbooks", params={"with_retired": with_retired})
        return read_page(shapes.Runbook, found).items

    def start_run(
        self, runbook: str, ticket_id: UUID, *, mode: str = "live", idempotency_key: str | None = None
    ) -> shapes.Run:
        """mode: live, shadow or dry_run; the last two act on nothing. Acts that need it wait for approval."""
        made = self.request(
            "POST",
            f"{_SUPPORT}/runs",
            json={"runbook": runbook, "ticket_id": ticket_id, "mode": mode},
            idempotency_key=idempotency_key,
        )
        return read(shapes.Run, made)

    def get_run(self, run_id: UUID) -> shapes.RunRecord:
        """With every read, question, intent and outcome."""
        return read(shapes.RunRecord, self.request("GET", f"{_SUPPORT}/runs/{run_id}"))

    def get_runs(
        self,
        *,
        ticket_id: UUID | None = None,
        runbook: str | None = None,
        status: str | None = None,
        before: datetime | None = None,
        limit: int = 50,
    ) -> list[shapes.Run]:
        """Newest first; `before` (created_at of the last one seen) pages on."""
        asked = given(ticket_id=ticket_id, runbook=runbook, status=status, before=before, limit=limit)
        return read_page(shapes.Run, self.request("GET", f"{_SUPPORT}/runs", params=asked)).items

    def cancel_run(self, run_id: UUID) -> shapes.Run:
        """It stops before its next act; what it has done stays done."""
        return read(shapes.Run, self.request("POST", f"{_SUPPORT}/runs/{run_id}/cancel"))

    def get_approvals(
        self, *, status: str = "pending", ticket_id: UUID | None = None, limit: int = 100
    ) -> list[shapes.Approval]:
        asked = given(status=status, ticket_id=ticket_id, limit=limit)
        return read_page(shapes.Approval, self.request("GET", f"{_SUPPORT}/approvals", params=asked)).items

    def decide(self, approval_id: UUID, vote: str, *, reason: str = "") -> shapes.Approval:
        """vote: approve or refuse. A key may only with the scope `approvals:decide`."""
        sent = {"vote": vote, "reason": reason}
        made = self.request("POST", f"{_SUPPORT}/approvals/{approval_id}/decide", json=sent)
        return read(shapes.Approval, made)

    # --- everything else ---

    def whoami(self) -> shapes.Me:
        return read(shapes.Me, self.request("GET", "/api/whoami"))

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        files: Mapping[str, Any] | None = None,
        data: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Any:
        """Any request of docs/api/endpoints.md, with the same retries; the decoded answer, None for an empty one."""
        key = (idempotency_key or str(uuid4())) if method == "POST" else None
        options: dict[str, Any] = {"params": wire.query(params), "files": files, "data": data}
        if json is not None:
            options |= {"content": wire.encode(json), "headers": {"Content-Type": "application/json"}}
        return wire.json_of(self._send(method, path, key, **options))

    def _send(self, method: str, path: str, key: str | None, **options: Any) -> bytes:
        if key is not None:
            options["headers"] = {**options.get("headers", {}), wire.KEY_HEADER: key}
        attempt = 0
        while True:
            try:
                response = self._http.request(method, path, **options)
                if response.is_success:
                    return response.content
                failure = wire.error_of(response.status_code, response.headers, response.content)
            except httpx.TransportError as error:
                failure = wire.lost(error)
            attempt += 1
            if attempt >= self._patience.attempts or not wire.may_repeat(
                method, has_key=key is not None, error=failure
            ):
                raise failure
            time.sleep(self._patience.wait(attempt - 1, failure))
