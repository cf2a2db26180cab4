"""Outside A2A agents (protocol 1.0, JSON-RPC): a skill is an act that hands work over, waits for it, and bounds it.

What an agent says proves nothing: it offers no reads, so that checks and verifications always ask another system. A skill can
be used once a person gave it a risk class, as its card was then. Work in doubt is looked for at the agent by our message's id.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import httpx

from asoe.connectors import a2a_tasks
from asoe.connectors.a2a_settings import A2aConfig, SkillIn, endpoint_problems, read_config
from asoe.connectors.a2a_tasks import DEADLINE_META, KEY_META, Card, Interface, Seen
from asoe.connectors.contract import Action, Changed, ConnectorError, Health, Json, Probe
from asoe.connectors.credentials import credentials_for, shown_secrets
from asoe.connectors.kinds import Kind, Opening, refused
from asoe.connectors.mapping import Checker, fill
from asoe.connectors.outbound import Outbound, parse_json
from asoe.connectors.remote import rules_at
from asoe.domain.errors import FieldProblem

KIND: Final = "a2a"
_VERSION: Final = "1.0"
_CHECK_SECONDS: Final = 15.0
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 3.0
_MOST_PAGES: Final = 20
_PAGE: Final = 50
_MOST_KNOWN: Final = 512
_MISSING_TASK: Final = -32001
# said before anything was begun: wrong parameters, no such method, what the agent does not offer
_REFUSED: Final = frozenset({-32700, -32600, -32601, -32602, -32003, -32004, -32005, -32007, -32008, -32009})


@dataclass(frozen=True, slots=True)
class _Talk:
    """One exchange with the agent: over what, about what, until when (monotonic), and whether it may have begun work."""

    interface: Interface
    what: str
    ends: float
    may_have_effect: bool = False

    def left(self) -> float:
        return max(0.001, self.ends - time.monotonic())


class A2aConnector:
    """One outside agent."""

    kind = KIND

    def __init__(self, opening: Opening, config: A2aConfig) -> None:
        self.name = opening.name
        self._config = config
        secrets = shown_secrets(config.auth, opening.secrets)
        self._outbound = Outbound(rules_at(config.url, config, opening), name=opening.name, secrets=secrets)
        self._credentials = credentials_for(config.auth, opening.secrets, self._outbound)
        self._known: OrderedDict[str, str] = OrderedDict()  # key → task: spares the search while this process lives

    def __repr__(self) -> str:
        return f"A2aConnector({self.name!r}, {self._config.url!r})"

    async def actions(self) -> Mapping[str, Action]:
        """The reviewed skills, as they were: asks nobody."""
        return {name: self._action(name) for name in sorted(self._usable_names())}

    def unclassified(self) -> Mapping[str, str]:
        """Skills that cannot be used, with the reason."""
        names = {*self._config.offered, *self._config.classified} - self._usable_names()
        return dict.fromkeys(sorted(names), "is unclassified: give it a risk (risks)")

    async def read(self, action: str, arguments: Mapping[str, Json], *, timeout: float) -> Json:  # noqa: ARG002  # the contract's form
        raise self._wrong(f"{action} is no read: what an outside agent says proves nothing. Read a system of record")

    async def act(self, action: str, arguments: Mapping[str, Json], *, key: str, timeout: float) -> Json:
        """Hand the work over and wait for its end; how it ended, as the agent has it, is the result.

        Work that outlasts `timeout` is in doubt, and found again by the probe; past its deadline it is called off.
        """
        ends = time.monotonic() + timeout
        skill = self._checked(action, arguments)
        interface = await self._as_reviewed(action, timeout=timeout)
        deadline = datetime.now(UTC) + timedelta(seconds=skill.deadline)
        talk = _Talk(interface, action, ends, may_have_effect=True)
        message = _message(skill, arguments, key=key, action=action, deadline=deadline)
        asked = {"message": message, "configuration": {"returnImmediately": True}}
        seen = self._begun(talk, await self._ask(talk, "SendMessage", asked))
        if seen.id:
            self._remember(key, seen.id)
        pause = _FIRST_PAUSE
        while not (seen.is_over or seen.is_asking or datetime.now(UTC) >= deadline):
            if talk.left() <= pause:
                words = f"{self.name}: {action} is still being worked on. Whether it took effect is not known."
                raise ConnectorError(words, permanent=False, effect="unknown")
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)
            seen = await self._task(talk, seen.id)
        return await self._ended(talk, seen, skill)

    async def probe(self, action: str, arguments: Mapping[str, Json], *, key: str, timeout: float) -> Probe:  # noqa: ARG002  # the contract's form
        """What became of the work; the one thing it changes is that work past its deadline is called off."""
        interface = await self._as_reviewed(action, timeout=timeout)
        talk = _Talk(interface, f"the probe of {action}", time.monotonic() + timeout)
        try:
            seen = await self._found(talk, key)
        except _UnlistedError:
            return Probe("unknown")
        if seen is None:
            return Probe("not_done")
        self._remember(key, seen.id)
        deadline = seen.deadline(key)
        if seen.is_over or seen.is_asking or (deadline is not None and datetime.now(UTC) >= deadline):
            return Probe("done", await self._ended(talk, seen, self._config.skill(action)))
        return Probe("unknown")

    async def health(self) -> Health:
        started = time.perf_counter()
        try:
            value, card = await self._card(_CHECK_SECONDS)
        except ConnectorError as error:
            return Health(is_up=False, detail=error.message)
        reviewed, usable = self._config.reviewed, self._usable_names()
        skills = {each.id: each.description or each.name for each in card.skills}
        changed = tuple(
            Changed(
                name,
                {"description": reviewed[name].description},
                {"description": skills[name][:2000], "card": a2a_tasks.about(value)} if name in skills else None,
                a2a_tasks.digest_of(value, name),
            )
            for name in sorted(usable)
            if a2a_tasks.digest_of(value, name) != reviewed[name].hash
        )
        new = sorted({each.id for each in card.skills} - usable)
        said = []
        if changed:
            listed = _listed([each.name for each in changed])
            said.append(f"Its card changed since these skills were reviewed, which are refused until then: {listed}.")
        if new:
            said.append(f"Unclassified, and not used: {_listed(new)}.")
        took = (time.perf_counter() - started) * 1000
        return Health(is_up=True, detail=" ".join(said), latency_ms=took, changed=changed)

    async def offered(self) -> tuple[Json, Card]:
        """The agent's card, now."""
        return await self._card(_CHECK_SECONDS)

    async def close(self) -> None:
        await self._outbound.close()

    # --- what may be used ---

    def _usable_names(self) -> set[str]:
        return self._config.classified & set(self._config.reviewed)

    def _action(self, name: str) -> Action:
        risk, skill = self._config.risk(name), self._config.skill(name)
        assert risk is not None
        return Action(
            name=name,
            risk=risk,
            description=self._config.reviewed[name].description,
            arguments=skill.arguments,
            repeats=skill.repeats,
            has_probe=True,
            undo=skill.undo,
            amount=skill.amount,
            is_hearsay=True,
        )

    def _checked(self, name: str, arguments: Mapping[str, Json]) -> SkillIn:
        if name not in self._usable_names():
            raise self._wrong(f"{name} is not among the skills with a risk class: give it one (risks)")
        skill = self._config.skill(name)
        problem = Checker(skill.arguments).problem(arguments)
        if problem is not None:
            raise self._wrong(f"{name} is not called: {problem}")
        return skill

    async def _as_reviewed(self, name: str, *, timeout: float) -> Interface:
        """Where to speak to the agent, if its card still says what it said when the skill was reviewed."""
        value, card = await self._card(timeout)
        reviewed = self._config.reviewed.get(name)
        if reviewed is None or a2a_tasks.digest_of(value, name) != reviewed.hash:
            words = f"{name}: the agent's card was changed since it was reviewed: look at it again, then review it anew"
            raise self._wrong(words, is_drift=True)
        if card.interface is None:
            raise self._wrong("the agent's card names no JSON-RPC endpoint of A2A 1.x")
        return card.interface

    async def _card(self, timeout: float) -> tuple[Json, Card]:
        request = httpx.Request(
            "GET", self._config.card_url, headers={**self._config.headers, "Accept": "application/json"}
        )
        answer = await self._outbound.send(await self._credentials.sign(request), what="its card", timeout=timeout)
        problem = self._outbound.refusal(answer, what="its card")
        if problem is not None:
            raise problem
        try:
            value = parse_json(answer.content)
            return value, a2a_tasks.card_of(value)
        except ValueError:
            raise self._wrong("what stands at its card's address is no Agent Card of A2A 1.0") from None

    # --- tasks ---

    def _begun(self, talk: _Talk, result: Json) -> Seen:
        try:
            if isinstance(result, Mapping) and "task" in result:
                return a2a_tasks.task_of(result["task"])
            return a2a_tasks.answered_at_once(result.get("message") if isinstance(result, Mapping) else None)
        except ValueError as error:
            raise self._odd(talk, str(error)) from None

    async def _task(self, talk: _Talk, task_id: str) -> Seen:
        result = await self._ask(talk, "GetTask", {"id": task_id})
        try:
            seen = a2a_tasks.task_of(result)
        except ValueError as error:
            raise self._odd(talk, str(error)) from None
        if seen.id != task_id:
            raise self._odd(talk, "is another task than was asked for")
        return seen

    async def _found(self, talk: _Talk, key: str) -> Seen | None:
        """The task of our message: known by its id, or searched for among the agent's; None when it has none of it."""
        known = self._known.get(key)
        if known is not None:
            return await self._task(talk, known)
        token = ""
        for _page in range(_MOST_PAGES):
            asked = {"pageSize": _PAGE, **({"pageToken": token} if token else {})}
            listed = await self._ask(talk, "ListTasks", asked, unlisted=True)
            values = listed.get("tasks", []) if isinstance(listed, Mapping) else None
            if not isinstance(values, list):
                raise _UnlistedError
            for value in values:
                with contextlib.suppress(ValueError):
                    if (seen := a2a_tasks.task_of(value)).is_of(key):
                        whole = await self._task(talk, seen.id)
                        return replace(whole, messages=whole.messages or seen.messages)
            token = str(listed.get("nextPageToken") or "")
            if not token:
                return None
        raise _UnlistedError  # more tasks than anybody reads

    async def _ended(self, talk: _Talk, seen: Seen, skill: SkillIn) -> Json:
        """The result; work that still goes on, or waits for an answer that nobody gives, is called off."""
        if seen.is_over:
            return a2a_tasks.told(seen, most=skill.largest_text)
        last = replace(talk, ends=time.monotonic() + min(5.0, talk.left() + 1.0), may_have_effect=False)
        with contextlib.suppress(ConnectorError, _UnlistedError):
            await self._ask(last, "CancelTask", {"id": seen.id})
        return a2a_tasks.told(seen, most=skill.largest_text, state=seen.state if seen.is_asking else "overdue")

    def _remember(self, key: str, task_id: str) -> None:
        self._known[key] = task_id
        self._known.move_to_end(key)
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)

    # --- the wire ---

    async def _ask(self, talk: _Talk, method: str, params: Mapping[str, Json], *, unlisted: bool = False) -> Json:
        """One JSON-RPC call; `unlisted`: what the agent does not offer is `_UnlistedError`."""
        tenant = {"tenant": talk.interface.tenant} if talk.interface.tenant else {}
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**tenant, **params}}
        headers = {**self._config.headers, "A2A-Version": _VERSION, "Accept": "application/json"}
        request = httpx.Request("POST", talk.interface.url, json=body, headers=headers)
        try:
            signed = await self._credentials.sign(request)
            answer = await self._outbound.send(
                signed, what=talk.what, timeout=talk.left(), may_have_effect=talk.may_have_effect
            )
        except ConnectorError as error:
            raise self._in_doubt(talk, method, error) from None
        problem = self._outbound.refusal(answer, what=talk.what, may_have_effect=talk.may_have_effect)
        if problem is not None:
            if answer.status == 401:
                self._credentials.doubt()
            raise self._in_doubt(talk, method, problem)
        try:
            told = parse_json(answer.content)
        except ValueError:
            raise self._odd(talk, "is no JSON") from None
        if not isinstance(told, Mapping) or ("result" not in told and "error" not in told):
            raise self._odd(talk, "is no JSON-RPC")
        if "error" in told:
            raise self._told_off(talk, method, told["error"], unlisted=unlisted)
        return told["result"]

    def _told_off(self, talk: _Talk, method: str, error: Json, *, unlisted: bool) -> Exception:
        code = error.get("code") if isinstance(error, Mapping) else None
        number = code if isinstance(code, int) and not isinstance(code, bool) else 0
        if unlisted and number in _REFUSED:
            return _UnlistedError()
        is_surely_nothing = method == "SendMessage" and number in _REFUSED
        effect: Literal["none", "unknown"] = "unknown" if talk.may_have_effect and not is_surely_nothing else "none"
        doubt = " Whether it took effect is not known." if effect == "unknown" else ""
        return ConnectorError(
            f"{self.name}: {talk.what} failed: the agent answered {method} with an error ({number}).{doubt}",
            permanent=number in _REFUSED or number == _MISSING_TASK,
            effect=effect,
            is_missing=number == _MISSING_TASK,
        )

    def _in_doubt(self, talk: _Talk, method: str, error: ConnectorError) -> ConnectorError:
        """Once work was handed over, nothing that fails afterwards is without effect."""
        if talk.may_have_effect and method != "SendMessage" and error.effect == "none":
            return ConnectorError(
                error.message, permanent=error.permanent, effect="unknown", retry_after=error.retry_after
            )
        return error

    def _odd(self, talk: _Talk, words: str) -> ConnectorError:
        effect: Literal["none", "unknown"] = "unknown" if talk.may_have_effect else "none"
        doubt = " Whether it took effect is not known." if effect == "unknown" else ""
        message = f"{self.name}: {talk.what} failed: what the agent answered {words}.{doubt}"
        return ConnectorError(message, permanent=True, effect=effect)

    def _wrong(self, words: str, *, is_drift: bool = False) -> ConnectorError:
        return ConnectorError(f"{self.name}: {words}.", permanent=True, is_drift=is_drift)


class _UnlistedError(Exception):
    """The agent does not tell of its tasks."""


def open_a2a(opening: Opening) -> A2aConnector:
    """A connector of a stored configuration; calls nobody."""
    return A2aConnector(opening, read_config(opening))


async def prepare_a2a(opening: Opening, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check a configuration, and keep each skill as its card now tells that has a risk and was not reviewed, or is in `review`."""
    if {"reviewed", "offered"} & set(given):
        raise refused([FieldProblem("config.reviewed", "is written by ASOE when a skill gets its risk; use review")])
    again = given.get("review") or ()
    stored = {key: value for key, value in opening.config.items() if key != "review"}
    bare = Opening(opening.org_id, opening.name, stored, opening.secrets, opening.allow_private)
    config = read_config(bare)
    connector = A2aConnector(bare, config)
    try:
        value, card = await connector.offered()
    finally:
        await connector.close()
    problems = endpoint_problems(config, card)
    skills = {each.id: each for each in card.skills}
    reviewed = {name: one.model_dump() for name, one in config.reviewed.items() if name in config.classified}
    for name in sorted(map(str, {*again, *(config.classified - set(reviewed))})):
        if name not in config.classified:
            problems.append(FieldProblem("config.review", f"{name[:100]} has no risk: give it one (risks)"))
        elif name not in skills:
            problems.append(FieldProblem(f"config.risks.{name}", "the agent's card names no such skill"))
        elif isinstance(again, Mapping) and again.get(name, now := a2a_tasks.digest_of(value, name)) != now:
            problems.append(
                FieldProblem("config.review", f"{name[:100]} was changed again since you looked: look anew")
            )
        else:
            description = skills[name].description or skills[name].name
            reviewed[name] = {"hash": a2a_tasks.digest_of(value, name), "description": description[:2000]}
    if problems:
        raise refused(problems)
    return {**stored, "reviewed": reviewed, "offered": sorted(each[:100] for each in skills)}


def _message(skill: SkillIn, arguments: Mapping[str, Json], *, key: str, action: str, deadline: datetime) -> Json:
    words = str(fill(skill.says, arguments)) if skill.says else f"Please do: {action}"
    return {
        "messageId": a2a_tasks.message_id(key),
        "role": "ROLE_USER",
        "parts": [
            {"text": words, "mediaType": "text/plain"},
            {"data": dict(arguments), "mediaType": "application/json"},
        ],
        "metadata": {KEY_META: key, DEADLINE_META: deadline.isoformat(), "asoe/skill": action},
    }


def _listed(names: list[str]) -> str:
    return ", ".join(names[:10]) + (", …" if len(names) > 10 else "")


A2A: Final = Kind(KIND, "outside agents that speak A2A", open_a2a, prepare_a2a)
