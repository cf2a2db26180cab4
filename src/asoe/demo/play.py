"""Plays tickets through the HTTP door as clients would, waits until each journey rests, and counts what came out.

Used by `asoe demo` and `asoe replay`. It knows the API only; it cannot see what a client's agent could not.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

import httpx

from asoe.domain.errors import Unavailable
from asoe.domain.escalation import missing_fields

DEFINITIONS: Final = {
    "handled": "answered, asked back, ended with nothing wanted, or handed over with every required field of the dossier",
    "contained": "rests without a person",
    "verified": "the client confirmed, or a check in the system of record passed",
    "escalated": "handed over to a person",
    "lost": "accepted, and without triage or without a journey that ended or waits for a named reason",
    "errors": "calls that failed in the end",
}
_ENDED: Final = frozenset({"resolved", "closed"})
_AGAIN: Final = frozenset({429, 502, 503, 504})


@dataclass(slots=True)
class Played:
    """What became of one ticket. Times in seconds; `rested` is the server's own, from opening to its last change."""

    line: Mapping[str, Any]
    ticket_id: str | None = None
    number: int | None = None
    category: str | None = None
    severity: str | None = None
    accepted: float | None = None
    rested: float | None = None
    outcome: str | None = None
    verdict: str | None = None
    has_triage: bool = False
    is_dossier_whole: bool | None = None
    error: str | None = None

    @property
    def is_lost(self) -> bool:
        return self.ticket_id is not None and (self.outcome is None or not self.has_triage)

    @property
    def is_handled(self) -> bool:
        if self.outcome is None or self.is_lost:
            return False
        return bool(self.is_dossier_whole) if self.outcome == "escalated" else True


@dataclass(slots=True)
class Stage:
    """Plays tickets against one API with one staff key. `played` grows while it runs, for a live table."""

    url: str
    key: str = field(repr=False)
    concurrency: int = 16
    patience: float = 300
    """Seconds without any progress after which journeys are given up."""
    played: list[Played] = field(default_factory=list)
    _client: httpx.AsyncClient | None = None
    _waiting: dict[str, asyncio.Future[dict[str, Any]]] = field(default_factory=dict)
    _progress: float = 0.0

    async def play(
        self, lines: Sequence[Mapping[str, Any]], *, pace: float = 0.0, stop: asyncio.Event | None = None
    ) -> list[Played]:
        """Open every ticket, `pace` seconds apart, answer as its client would, and wait until all rest."""
        limits = httpx.Limits(max_connections=self.concurrency + 8, max_keepalive_connections=self.concurrency + 8)
        headers = {"Authorization": f"Bearer {self.key}"}
        async with httpx.AsyncClient(
            base_url=self.url, headers=headers, timeout=60, limits=limits, trust_env=False
        ) as self._client:
            self._progress = time.monotonic()
            watching = asyncio.create_task(self._watch())
            slots = asyncio.Semaphore(self.concurrency)
            running: list[asyncio.Task[None]] = []
            try:
                for line in lines:
                    if stop is not None and stop.is_set():
                        break
                    await slots.acquire()
                    one = Played(line)
                    self.played.append(one)
                    running.append(asyncio.create_task(self._play(one, slots)))
                    if pace:
                        await asyncio.sleep(pace)
                await asyncio.gather(*running)
            finally:
                for task in (watching, *running):
                    task.cancel()
        return self.played

    async def _play(self, one: Played, slots: asyncio.Semaphore) -> None:
        try:
            try:
                began = time.monotonic()
                ticket = await self._call("POST", "/api/support/ticket", opening(one.line))
                one.accepted = time.monotonic() - began
                one.ticket_id = ticket["id"]
            finally:
                slots.release()
            ticket = await self._rest(one)
            for words in one.line.get("follow_ups", ()):
                if ticket["waiting_for"] != "client":
                    break
                ticket = await self._reply(ticket, words)
            self._judge(one, ticket)
            if one.outcome == "escalated":
                found = await self._call("GET", f"/api/support/ticket/{one.ticket_id}/dossier")
                one.is_dossier_whole = not missing_fields(found["dossier"])
        except (httpx.HTTPError, Unavailable) as error:
            one.error = str(error) or type(error).__name__

    async def _reply(self, ticket: Mapping[str, Any], words: str) -> dict[str, Any]:
        """Say something as the client and wait for what the engine makes of it."""
        said = await self._call(
            "POST", f"/api/support/message/{ticket['session_id']}", {"role": "user", "content": words, "relayed": True}
        )
        deadline = time.monotonic() + self.patience
        pause = 0.05
        while time.monotonic() < deadline:
            now = await self._call("GET", f"/api/support/ticket/{ticket['id']}")
            heard = await self._call("GET", f"/api/support/session/{ticket['session_id']}?after_seq={said['seq']}")
            if now["status"] in _ENDED or now["waiting_for"] == "person" or heard["messages"]:
                return await self._call("GET", f"/api/support/ticket/{ticket['id']}")
            await asyncio.sleep(pause)
            pause = min(1.0, pause * 1.5)
        raise Unavailable("The engine did not react to a reply.", code="no_reaction")

    async def _rest(self, one: Played) -> dict[str, Any]:
        assert one.ticket_id is not None
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[one.ticket_id] = future
        return await future

    async def _watch(self) -> None:
        """One reader for all waiting tickets, oldest first; it asks no more often than the journeys get on."""
        while True:
            came = 0
            for ticket_id in list(self._waiting)[:64]:
                future = self._waiting[ticket_id]
                try:
                    ticket = await self._call("GET", f"/api/support/ticket/{ticket_id}")
                except (httpx.HTTPError, Unavailable) as error:
                    self._waiting.pop(ticket_id)
                    future.set_exception(error)
                    continue
                if is_resting(ticket):
                    self._waiting.pop(ticket_id)
                    future.set_result(ticket)
                    came += 1
                    self._progress = time.monotonic()
                elif came == 0:
                    break
            if self._waiting and time.monotonic() - self._progress > self.patience:
                for future in self._waiting.values():
                    future.set_exception(
                        Unavailable(
                            f"No journey got on for {self.patience:g} s. Does a worker run?", code="no_progress"
                        )
                    )
                self._waiting.clear()
            await asyncio.sleep(0.02 if came else 0.15)

    def _judge(self, one: Played, ticket: Mapping[str, Any]) -> None:
        one.verdict = ticket["resolution"].get("verdict")
        one.number, one.category, one.severity = (ticket[name] for name in ("number", "category", "severity"))
        one.has_triage = bool(ticket["triage"].get("model_version"))
        one.outcome = outcome_of(ticket) if is_resting(ticket) else None
        at = [datetime.fromisoformat(ticket[name]) for name in ("created_at", "updated_at")]
        one.rested = (at[1] - at[0]).total_seconds()

    async def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One call; transport trouble and "later" answers are tried again, which the Idempotency-Key makes safe."""
        assert self._client is not None
        headers = {"Idempotency-Key": str(uuid4())} if method == "POST" else {}
        pause = 0.2
        for attempt in range(8):
            try:
                answer = await self._client.request(method, path, json=body, headers=headers)
            except httpx.TransportError:
                if attempt == 7:
                    raise
            else:
                if answer.status_code not in _AGAIN or attempt == 7:
                    if answer.is_error:
                        raise Unavailable(
                            f"{method} {path}: {answer.status_code} {_problem(answer)}", code="call_failed"
                        )
                    return dict(answer.json())
                pause = max(pause, min(60.0, float(answer.headers.get("Retry-After", 0) or 0)))
            await asyncio.sleep(pause)
            pause = min(5.0, pause * 2)
        raise AssertionError("unreachable")


def opening(line: Mapping[str, Any]) -> dict[str, Any]:
    """The request that opens a line's ticket, in its client's own words; {text} lines are chat messages without a subject."""
    known = ("subject", "body", "category", "severity", "metadata", "contact", "channel", "cc", "tags")
    body = {"relayed": True, **{name: line[name] for name in known if line.get(name) is not None}}
    if "text" in line and "body" not in body:
        body["body"] = line["text"]
    return body


def is_resting(ticket: Mapping[str, Any]) -> bool:
    """Whether the journey ended, or waits for a named reason."""
    return ticket["status"] in _ENDED or ticket["waiting_for"] is not None


def outcome_of(ticket: Mapping[str, Any]) -> str:
    verdict = ticket["resolution"].get("verdict")
    if ticket["status"] == "escalated" or ticket["waiting_for"] == "person":
        return "escalated"
    if ticket["waiting_for"] == "client":
        return "answered" if verdict == "answered" else "asked"
    if ticket["status"] in _ENDED:
        return "confirmed" if verdict == "verified" else "nothing_wanted" if verdict == "answered" else "ended"
    return str(ticket["waiting_for"])


def summarize(played: Sequence[Played], *, seconds: float) -> dict[str, Any]:
    """The report: counts, rates with 95 % Wilson intervals, latencies in milliseconds, and what became of each ticket."""
    counts = {
        "tickets": len(played),
        "handled": sum(one.is_handled for one in played),
        "contained": sum(one.outcome not in {None, "escalated"} for one in played),
        "verified": sum(one.verdict == "verified" for one in played),
        "escalated": sum(one.outcome == "escalated" for one in played),
        "errors": sum(one.error is not None for one in played),
        "lost": sum(one.is_lost for one in played),
    }
    rates = {name: interval(counts[name], len(played)) for name in ("handled", "contained", "verified", "escalated")}
    return {
        **counts,
        "rates": rates,
        "by_outcome": dict(Counter(one.outcome or "none" for one in played).most_common()),
        "latency_ms": {
            "accept": _spread([one.accepted for one in played if one.accepted is not None]),
            "until_rest": _spread([one.rested for one in played if one.rested is not None]),
        },
        "seconds": round(seconds, 2),
        "tickets_per_second": round(len(played) / seconds, 2) if seconds else None,
        "error_examples": list(dict.fromkeys(one.error for one in played if one.error))[:5],
        "definitions": DEFINITIONS,
        "each": [_told(one) for one in played],
    }


def _told(one: Played) -> dict[str, Any]:
    return {
        "ticket_id": one.ticket_id,
        "number": one.number,
        "subject": one.line.get("subject"),
        "category": one.category,
        "severity": one.severity,
        "outcome": one.outcome,
        "verdict": one.verdict,
        "is_handled": one.is_handled,
        "accept_ms": _milliseconds(one.accepted),
        "until_rest_ms": _milliseconds(one.rested),
        "error": one.error,
    }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 1)


def interval(hits: int, total: int) -> dict[str, float] | None:
    """A share with its 95 % interval (Wilson 1927)."""
    if not total:
        return None
    z, share = 1.959964, hits / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return {
        "rate": round(share, 4),
        "low": round(max(0.0, middle - half), 4),
        "high": round(min(1.0, middle + half), 4),
    }


def _spread(seconds: Sequence[float]) -> dict[str, float] | None:
    if not seconds:
        return None
    ordered = sorted(seconds)

    def at(share: float) -> float:
        return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)

    return {"p50": at(0.5), "p99": at(0.99), "max": round(1000 * ordered[-1], 1)}


def _problem(answer: httpx.Response) -> str:
    try:
        told = answer.json()
        return f"{told.get('code', '')}: {told.get('detail', '')}"
    except ValueError:
        return answer.text[:200]
