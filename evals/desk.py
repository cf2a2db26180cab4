"""Judge the whole desk: play a labelled corpus over the HTTP API and count what was handled.

Decides only whether an outcome matches its label (rules in evals/README.md). It knows nothing of how the desk
decides. Texts and details of the test part never leave this module: its misses are an id and a kind.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import re
import signal
import statistics
import sys
import tempfile
import time
import unicodedata
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

import httpx
from scipy.stats import beta

from asoe.domain.escalation import REASONS, missing_fields

CORPUS: Final = Path(__file__).parent / "data" / "desk_corpus.jsonl"
CONCURRENCY: Final = 8
TICKET_SECONDS: Final = 120.0
TOTAL_SECONDS: Final = 2400.0
START_SECONDS: Final = 240.0
GOAL: Final = 0.95
SHOWN_MISSES: Final = 30
PARTS: Final = ("dev", "test")


@dataclass(frozen=True, slots=True)
class Label:
    """One ticket of the corpus and what a good support desk must do with it."""

    id: str
    subject: str
    body: str
    language: str
    category: str
    expect: str
    articles: tuple[str, ...]
    must_contain: tuple[tuple[str, ...], ...]
    teams: tuple[str, ...]
    reasons_any: tuple[str, ...]
    dossier_must: tuple[str, ...]
    critical: bool
    note: str

    @property
    def part(self) -> str:
        return part_of(self.id)


@dataclass(frozen=True, slots=True)
class Played:
    """What the desk did with one ticket, as seen from outside."""

    outcome: str  # answered | handed_over | asked | wished | closed | other | timed_out | error
    slugs: tuple[str, ...] = ()
    answer: str = ""
    team: str | None = None
    reasons: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    dossier_text: str = ""
    seconds: float = 0.0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Handled or not; `kind` is a coarse class of miss, `why` says it in full."""

    label: Label
    played: Played
    kind: str = ""
    why: str = ""

    @property
    def handled(self) -> bool:
        return not self.kind


@dataclass(slots=True)
class Tally:
    """Counts of one group of verdicts."""

    handled: int = 0
    total: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)

    def add(self, verdict: Verdict) -> None:
        self.total += 1
        self.handled += verdict.handled
        self.outcomes[verdict.played.outcome] += 1


def part_of(ticket_id: str) -> str:
    """`dev` for about 30 % of all ids, `test` for the rest; depends on nothing but the id."""
    return "dev" if int.from_bytes(hashlib.sha256(ticket_id.encode()).digest()[:4]) % 10 < 3 else "test"


def load_corpus(path: Path = CORPUS) -> list[Label]:
    labels = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        row = json.loads(line)
        unknown = set(row["reasons_any"]) - REASONS.keys()
        if unknown or row["expect"] not in {"answer", "handover", "either", "ask"}:
            raise ValueError(f"{path}:{number}: unknown reason {sorted(unknown)} or expectation {row['expect']!r}")
        labels.append(
            Label(
                **{
                    **row,
                    "articles": tuple(row["articles"]),
                    "must_contain": tuple(tuple(group) for group in row["must_contain"]),
                    "teams": tuple(row["teams"]),
                    "reasons_any": tuple(row["reasons_any"]),
                    "dossier_must": tuple(row["dossier_must"]),
                }
            )
        )
    return labels


def normal(text: str) -> str:
    """Text with typography, Markdown marks, case and spacing taken away, so that only wording counts."""
    text = unicodedata.normalize("NFKC", text).casefold()
    text = re.sub(r"→|->|›|»", ">", text)
    text = re.sub(r"[*`#]+", " ", text).translate(str.maketrans("’‘“”„–—", '\'\'"""--'))
    return re.sub(r"\s*>\s*", " > ", re.sub(r"\s+", " ", text)).strip()


def contains(text: str, wanted: str) -> bool:
    """Whether `wanted` stands in `text` as a phrase: 7 days is not found in 17 days, 4 not in 4.5."""
    phrase = normal(wanted)
    before = r"(?<!\d)(?<!\d[.,])" if phrase[0].isdigit() else r"(?<!\w)" if phrase[0].isalnum() else ""
    after = r"(?!\d)(?![.,]\d)" if phrase[-1].isdigit() else ""
    return re.search(before + re.escape(phrase) + after, normal(text)) is not None


def judge(label: Label, played: Played) -> Verdict:
    """The rules of evals/README.md, first broken rule first."""
    if played.outcome == "answered":
        kind, why = _judge_answer(label, played)
    elif played.outcome == "handed_over":
        kind, why = _judge_handover(label, played)
    elif played.outcome == "asked":
        kind, why = (
            ("", "") if label.expect == "ask" else (f"asked_not_{label.expect}", "asked back, the ticket is clear")
        )
    elif played.outcome == "wished":
        is_wish = label.expect in {"handover", "either"} and "product" in label.teams and not label.critical
        kind, why = ("", "") if is_wish else (f"wished_not_{label.expect}", "written down as a wish, and it is none")
    elif played.outcome == "closed":
        kind, why = "closed", "closed before anybody confirmed"
    else:
        kind, why = played.outcome, played.detail
    return Verdict(label, played, kind, why)


def _judge_answer(label: Label, played: Played) -> tuple[str, str]:
    if label.expect not in {"answer", "either"}:
        return f"answered_not_{label.expect}", f"answered from {list(played.slugs)}"
    if not set(played.slugs) & set(label.articles):
        return "wrong_article", f"cited {list(played.slugs)}, acceptable {list(label.articles)}"
    for group in label.must_contain:
        if not any(contains(played.answer, fact) for fact in group):
            return "fact_missing", f"none of {list(group)} in the answer"
    return "", ""


def _judge_handover(label: Label, played: Played) -> tuple[str, str]:
    if label.expect == "answer":
        return "handed_over_not_answered", f"handed over for {list(played.reasons)}"
    if played.team not in label.teams:
        return "wrong_team", f"team {played.team!r}, acceptable {list(label.teams)}"
    acceptable = REASONS.keys() if label.expect == "ask" else set(label.reasons_any)
    if not set(played.reasons) & acceptable:
        return "wrong_reason", f"reasons {list(played.reasons)}, acceptable {sorted(acceptable)}"
    if played.missing:
        return "dossier_incomplete", f"dossier lacks {list(played.missing)}"
    absent = [wanted for wanted in label.dossier_must if not contains(played.dossier_text, wanted)]
    if absent:
        return "dossier_identifier_missing", f"not in the dossier: {absent}"
    return "", ""


def hand_over_everything(label: Label) -> Played:
    """A dummy that never answers: perfect team and dossier, and always the two reasons of one who does not know."""
    return Played(
        "handed_over",
        team=label.teams[0] if label.teams else "frontline",
        reasons=("low_confidence", "no_grounded_answer"),
        dossier_text="\n".join(label.dossier_must),
    )


def answer_everything(label: Label) -> Played:
    """A dummy that always answers, with the right article and every fact where there is one."""
    return Played("answered", slugs=label.articles, answer="\n".join(group[0] for group in label.must_contain))


DUMMIES: Final[dict[str, Callable[[Label], Played]]] = {
    "hand over everything": hand_over_everything,
    "answer everything": answer_everything,
}


def interval(hits: int, total: int) -> tuple[float, float]:
    """The exact 95 % confidence interval of a rate (Clopper and Pearson, 1934); nothing seen is (0, 1)."""
    low = float(beta.ppf(0.025, hits, total - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, total - hits)) if hits < total else 1.0
    return low, high


def rate(hits: int, total: int) -> dict[str, Any]:
    low, high = interval(hits, total)
    return {"count": hits, "of": total, "rate": hits / total if total else None, "low": low, "high": high}


def summarize(verdicts: Iterable[Verdict]) -> dict[str, Any]:
    """All rates of one part of the corpus, as plain JSON."""
    verdicts = list(verdicts)
    needs_person = [v for v in verdicts if v.label.expect == "handover"]
    critical = [v for v in verdicts if v.label.critical]
    lengths = [len(v.played.answer) for v in verdicts if v.played.outcome == "answered"]
    waits = sorted(v.played.seconds for v in verdicts)
    return {
        "handled": rate(sum(v.handled for v in verdicts), len(verdicts)),
        "by": {key: _groups(verdicts, attrgetter(f"label.{key}")) for key in ("expect", "language", "category")},
        "wrongly_closed": rate(
            sum(v.played.outcome in {"closed", "wished"} and not v.handled for v in needs_person), len(needs_person)
        ),
        "wrongly_answered": rate(sum(v.played.outcome == "answered" for v in needs_person), len(needs_person)),
        "critical_reached_on_call": rate(
            sum(v.played.outcome == "handed_over" and v.played.team == "on_call" for v in critical), len(critical)
        ),
        "miss_kinds": dict(Counter(v.kind for v in verdicts if v.kind).most_common()),
        "answer_characters_median": statistics.median(lengths) if lengths else None,
        "seconds_median": statistics.median(waits) if waits else None,
        "seconds_most": waits[-1] if waits else None,
    }


def _groups(verdicts: list[Verdict], key: Callable[[Verdict], str]) -> dict[str, dict[str, Any]]:
    tallies: dict[str, Tally] = {}
    for verdict in verdicts:
        tallies.setdefault(key(verdict), Tally()).add(verdict)
    return {
        name: {**rate(tally.handled, tally.total), "outcomes": dict(tally.outcomes)}
        for name, tally in sorted(tallies.items())
    }


def miss_rows(verdicts: Iterable[Verdict]) -> dict[str, list[dict[str, Any]]]:
    """Every miss by part; of the test part only the id and the kind."""
    rows: dict[str, list[dict[str, Any]]] = {part: [] for part in PARTS}
    for verdict in verdicts:
        if verdict.handled:
            continue
        label = verdict.label
        row: dict[str, Any] = {"id": label.id, "kind": verdict.kind}
        if verdict.kind in {"error", "timed_out", "other"}:
            row["why"] = verdict.why  # how the call went, nothing of the text
        if label.part == "dev":
            row |= {"why": verdict.why, "expect": label.expect, "subject": label.subject, "body": label.body}
            row |= {"answer": verdict.played.answer, "note": label.note}
        rows[label.part].append(row)
    return rows


class Client:
    """Plays tickets through the API of one desk, as any integration would."""

    def __init__(self, http: httpx.AsyncClient, *, nonce: str) -> None:
        self.http = http
        self.nonce = nonce

    async def play(self, label: Label) -> Played:
        started = time.monotonic()
        try:
            async with asyncio.timeout(TICKET_SECONDS):
                played = await self._play(label)
        except TimeoutError:
            played = Played("timed_out", detail=f"not at rest after {TICKET_SECONDS:.0f} s")
        except (httpx.HTTPError, KeyError, TypeError, ValueError) as error:
            played = Played("error", detail=f"{type(error).__name__}: {error}")
        return _timed(played, time.monotonic() - started)

    async def _play(self, label: Label) -> Played:
        # a fresh contact for every ticket and run: nobody comes back unless the text says so
        contact = {"email": f"{label.id}.{self.nonce}@client.example", "name": f"Client {label.id[-4:]}"}
        ticket = await self._call(
            "POST", "/api/support/ticket", {"subject": label.subject, "body": label.body, "contact": contact}
        )
        pause = 0.1
        while not (ticket["status"] in {"resolved", "escalated", "closed"} or ticket.get("waiting_for") is not None):
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 2.0)
            ticket = await self._call("GET", f"/api/support/ticket/{ticket['id']}")
        return await self._read(ticket)

    async def _read(self, ticket: dict[str, Any]) -> Played:
        resolution = ticket.get("resolution") or {}
        citations = resolution.get("citations") or []
        if ticket["status"] == "escalated":
            return _handed_over(
                ticket, await self._call("GET", f"/api/support/ticket/{ticket['id']}/dossier", may_miss=True)
            )
        if ticket["status"] in {"resolved", "closed"}:
            is_wish = resolution.get("verdict") == "verified" and "wish_id" in (resolution.get("evidence") or {})
            return Played("wished" if is_wish else "closed")
        if ticket["waiting_for"] == "client" and not citations:
            return Played("asked")
        if ticket["waiting_for"] == "client" and resolution.get("verdict") == "answered":
            session = await self._call("GET", f"/api/support/session/{ticket['session_id']}")
            answer = "\n".join(message["content"] for message in session["messages"] if message["role"] == "assistant")
            if answer:
                return Played("answered", slugs=tuple(citation["slug"] for citation in citations), answer=answer)
        return Played(
            "other",
            detail=f"status {ticket['status']}, waiting for {ticket['waiting_for']}, verdict {resolution.get('verdict')}",
        )

    async def _call(self, method: str, path: str, body: Any = None, *, may_miss: bool = False) -> dict[str, Any]:
        while True:
            answer = await self.http.request(method, path, json=body)
            if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
                await asyncio.sleep(min(float(answer.headers.get("Retry-After", "1")), 30.0))
                continue
            if may_miss and answer.status_code == httpx.codes.NOT_FOUND:
                return {}
            answer.raise_for_status()
            found: dict[str, Any] = answer.json()
            return found


def _timed(played: Played, seconds: float) -> Played:
    return Played(**{name: getattr(played, name) for name in Played.__slots__} | {"seconds": round(seconds, 3)})


def _handed_over(ticket: dict[str, Any], escalation: dict[str, Any]) -> Played:
    # the API gives the escalation with its dossier in it
    dossier = escalation.get("dossier", escalation)
    return Played(
        "handed_over",
        team=ticket.get("team") or dossier.get("team"),
        reasons=tuple(dossier.get("reasons") or ()),
        missing=missing_fields(dossier),
        dossier_text=json.dumps(dossier, ensure_ascii=False).replace('\\"', '"').replace("\\n", "\n"),
    )


async def play_all(labels: list[Label], *, url: str, key: str) -> list[Verdict]:
    """Play every ticket, eight at a time; what is not played when the total time is over counts as timed out."""
    played: dict[str, Played] = {}
    waiting = iter(labels)
    deadline = time.monotonic() + TOTAL_SECONDS
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=url.rstrip("/"), headers=headers, timeout=30.0, trust_env=False) as http:
        client = Client(http, nonce=os.urandom(4).hex())

        async def worker() -> None:
            for label in waiting:
                if time.monotonic() > deadline:
                    played[label.id] = Played("timed_out", detail="the total time was over")
                    continue
                played[label.id] = await client.play(label)
                if sys.stderr.isatty():
                    print(f"\r{len(played)} of {len(labels)}", end="", file=sys.stderr, flush=True)

        await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))
    return [judge(label, played[label.id]) for label in labels]


@contextlib.asynccontextmanager
async def start_own() -> AsyncIterator[tuple[str, str]]:
    """A desk of our own with the demo organization, stopped and erased at the end; yields its address and agent key."""
    with tempfile.TemporaryDirectory(prefix="asoe-evals-") as folder:
        home = Path(folder)
        home.chmod(0o755)  # as root the embedded database runs as another user, who has to get through here
        ready, log = home / "ready.json", home / "log"
        command = [sys.executable, "-m", "asoe.cli.main", "demo", "--serve-only"]
        command += ["--ready-file", str(ready), "--data-dir", str(home / "data"), "--port", "0"]
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *command, stdout=output, stderr=output, start_new_session=True
            )
        try:
            yield await _when_ready(process, ready=ready, log=log)
        finally:
            await _stop(process)


async def _when_ready(process: asyncio.subprocess.Process, *, ready: Path, log: Path) -> tuple[str, str]:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.returncode is None:
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
            found = json.loads(ready.read_text(encoding="utf-8"))
            return found["url"], found["keys"]["agent"]
        await asyncio.sleep(0.25)
    tail = log.read_text(encoding="utf-8", errors="replace")[-3000:]
    state = "is not ready" if process.returncode is None else f"ended with {process.returncode}"
    raise RuntimeError(f"asoe demo --serve-only {state} after {START_SECONDS:.0f} s at most; its last words:\n{tail}")


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), 30.0)
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)  # our own session: the desk and what it started
        await process.wait()


def report(verdicts: list[Verdict]) -> dict[str, Any]:
    """The whole report as JSON: both parts apart, both together, and the dummies on the same labels."""
    by_part = {part: [v for v in verdicts if v.label.part == part] for part in PARTS}
    labels = [verdict.label for verdict in verdicts]
    dummies = {name: summarize([judge(label, policy(label)) for label in labels]) for name, policy in DUMMIES.items()}
    return {
        "corpus": {"tickets": len(labels), "sha256": hashlib.sha256(CORPUS.read_bytes()).hexdigest()},
        "desk": {
            **{part: summarize(found) for part, found in by_part.items() if found},
            "all": summarize(verdicts),
        },
        "dummies": {name: {"handled": found["handled"], "by": found["by"]} for name, found in dummies.items()},
        "misses": miss_rows(verdicts),
    }


def show(found: dict[str, Any]) -> None:
    for part, rates in found["desk"].items():
        print(f"\n{part}: {_line(rates['handled'])}   goal {GOAL:.0%}: {_against_goal(rates['handled'])}")
        for key, groups in rates["by"].items():
            for name, group in groups.items():
                outcomes = ", ".join(f"{outcome} {count}" for outcome, count in sorted(group["outcomes"].items()))
                print(f"  {key:<9} {name:<16} {_line(group)}   {outcomes}")
        for name in ("wrongly_closed", "wrongly_answered", "critical_reached_on_call"):
            print(f"  {name.replace('_', ' '):<26} {_line(rates[name])}")
        print(f"  misses by kind: {rates['miss_kinds'] or 'none'}")
    print("\ndummies on the same labels (both must miss the goal):")
    for name, rates in found["dummies"].items():
        print(f"  {name:<26} {_line(rates['handled'])}   {_against_goal(rates['handled'])}")
    misses = found["misses"]["dev"] + found["misses"]["test"]
    print(f"\nmisses: {len(misses)}" + (f", the first {SHOWN_MISSES}:" if len(misses) > SHOWN_MISSES else ""))
    for miss in misses[:SHOWN_MISSES]:
        print(f"  {miss['id']}  {miss['kind']:<28} {miss.get('why', '(test part)')}")


def _line(found: dict[str, Any]) -> str:
    if not found["of"]:
        return "   -   (none)"
    return f"{found['rate']:6.1%} ({found['count']}/{found['of']}), 95 % interval {found['low']:.1%} to {found['high']:.1%}"


def _against_goal(found: dict[str, Any]) -> str:
    if found["rate"] < GOAL:
        return "missed"
    return "met, also by the lower limit" if found["low"] >= GOAL else f"met (lower limit {found['low']:.1%} is below)"


def chosen(*, part: str, limit: int | None) -> list[Label]:
    """The labels to play, in the order of their ids: a hash, so that a limit takes a fair sample."""
    labels = sorted(load_corpus(), key=lambda label: label.id)
    return [label for label in labels if part in {"all", label.part}][:limit]


async def run(options: argparse.Namespace) -> int:
    labels = chosen(part=options.part, limit=options.limit)
    started = time.monotonic()
    if options.url:
        verdicts = await play_all(labels, url=options.url, key=options.key)
    else:
        async with start_own() as (url, key):
            verdicts = await play_all(labels, url=url, key=key)
    found = report(verdicts) | {"part": options.part, "seconds": round(time.monotonic() - started, 1)}
    show(found)
    if options.json:
        options.json.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    blunt = [name for name, rates in found["dummies"].items() if rates["handled"]["rate"] >= GOAL]
    if blunt:
        print(f"\nthese labels tell nothing: {blunt} meets the goal")
    unplayed = sum(verdict.played.outcome in {"error", "timed_out"} for verdict in verdicts)
    return 1 if blunt or unplayed else 0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m evals.desk", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--url", help="address of a running desk; without it one is started and stopped")
    parser.add_argument("--key", default=os.environ.get("ASOE_KEY"), help="an agent's API key (or ASOE_KEY)")
    parser.add_argument("--limit", type=int, help="play only so many tickets")
    parser.add_argument("--part", choices=[*PARTS, "all"], default="all")
    parser.add_argument("--json", type=Path, help="write the whole report to this file")
    options = parser.parse_args()
    if options.url and not options.key:
        parser.error("--url needs --key or ASOE_KEY")
    if options.limit is not None and options.limit < 1:
        parser.error("--limit must be at least 1")
    return asyncio.run(run(options))


if __name__ == "__main__":
    sys.exit(main())
