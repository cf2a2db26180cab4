"""Prefect 3 over its REST API: a client's flow runs, which of them are stuck, and reset, cancel and resume.

Every act is one change of a run's state whose message carries our key: the run's history tells a probe whether it was
made. Nothing is forced: Prefect's own rules refuse what cannot go well. What counts as stuck is said in prefect_runs.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx
from pydantic import Field, ValidationError

from asoe.connectors.contract import Action, ConnectorError, Health, Json, Probe
from asoe.connectors.credentials import Auth, credentials_for, extra_hosts, shown_secrets
from asoe.connectors.kinds import Config, Kind, Opening, problems_of, refused
from asoe.connectors.mapping import Checker
from asoe.connectors.outbound import Outbound, parse_json
from asoe.connectors.places import CONNECT_SECONDS, READ_SECONDS, Rules, rules_for
from asoe.connectors.prefect_runs import (
    ENDED,
    STATE_TYPES,
    Patience,
    is_maybe_silent,
    moment,
    signed,
    state_of,
    told_of,
    told_of_state,
    transition_of,
)
from asoe.domain.errors import FieldProblem

KIND: Final = "prefect"
_CHECK_SECONDS: Final = 10.0
_LARGEST: Final = 8 * 1024 * 1024
_MOST: Final = 200
_MOST_NAMES: Final = 1000
_ODD: Final = (KeyError, TypeError, ValueError, AttributeError)


class PrefectConfig(Config):
    """The configuration of a connector of this kind; `url` is that of the API, with /api and the workspace if there is one."""

    url: str
    auth: Auth | None = None
    tag: str = Field("client:", max_length=100)
    late_minutes: float = Field(5, gt=0, le=10_000)
    silent_minutes: float = Field(60, gt=0, le=10_000)
    allow_http: bool = False
    ca: str | None = None
    connect_seconds: float = Field(CONNECT_SECONDS, gt=0, le=60)
    read_seconds: float = Field(READ_SECONDS, gt=0, le=300)


@dataclass(frozen=True, slots=True)
class _Call:
    """One action under way: its name for messages, and when its time is over."""

    what: str
    ends: float
    is_act: bool = False


@dataclass(frozen=True, slots=True)
class _Said:
    value: Any
    at: datetime


class PrefectConnector:
    """One Prefect server, or one workspace of Prefect Cloud."""

    kind = KIND

    def __init__(self, opening: Opening, config: PrefectConfig) -> None:
        self.name = opening.name
        self._config = config
        self._patience = Patience(timedelta(minutes=config.late_minutes), timedelta(minutes=config.silent_minutes))
        self._outbound = Outbound(
            _rules_of(opening, config), name=opening.name, secrets=shown_secrets(config.auth, opening.secrets)
        )
        self._credentials = credentials_for(config.auth, opening.secrets, self._outbound)
        self._flows: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"PrefectConnector({self.name!r}, {self._config.url!r})"

    async def actions(self) -> Mapping[str, Action]:
        return ACTIONS

    async def read(self, action: str, arguments: Mapping[str, Json], *, timeout: float) -> Json:
        self._check(action, arguments, is_act=False)
        call = _Call(action, time.monotonic() + timeout)
        try:
            match action:
                case "find_runs":
                    return await self._find_runs(call, arguments)
                case "get_run":
                    return await self._get_run(call, arguments["id"])
            return {"items": [told_of_state(state) for state in await self._states(call, arguments["id"])]}
        except _ODD as error:
            raise self._odd(call, error) from None

    async def act(self, action: str, arguments: Mapping[str, Json], *, key: str, timeout: float) -> Json:
        self._check(action, arguments, is_act=True)
        call = _Call(action, time.monotonic() + timeout)
        run_id = arguments["id"]
        try:
            done = state_of(await self._states(call, run_id), key)
            if done is not None:
                return {"id": run_id, **told_of_state(done)}
            run, at = await self._run(call, run_id)
            told = (await self._told(call, [run], at))[0]
            wanted = arguments.get("state_id")
            if wanted is not None and told["state_id"] != wanted:
                raise self._refused(call, "the run has changed since it was looked at")
            state = _WANTED[action](run, told)
        except _Refused as why:
            raise self._refused(call, str(why)) from None
        except _ODD as error:
            raise self._odd(call, error) from None
        call = _Call(action, call.ends, is_act=True)
        try:
            return await self._set_state(call, run_id, {**state, "message": signed(state["message"], key)}, key)
        except _ODD as error:
            raise self._odd(call, error) from None

    async def probe(self, action: str, arguments: Mapping[str, Json], *, key: str, timeout: float) -> Probe:
        self._check(action, arguments, is_act=True)
        call = _Call(f"the probe of {action}", time.monotonic() + timeout)
        try:
            states = await self._states(call, arguments["id"])
            done = state_of(states, key)
            if done is not None:
                return Probe("done", {"id": arguments["id"], **told_of_state(done)})
        except _ODD as error:
            raise self._odd(call, error) from None
        return Probe("not_done") if states else Probe("unknown")  # a run without any state is gone, with its history

    async def health(self) -> Health:
        started = time.perf_counter()
        try:
            call = _Call("the check", time.monotonic() + _CHECK_SECONDS)
            await self._ask(call, "POST", "/flow_runs/filter", {"limit": 1})
        except ConnectorError as error:
            return Health(is_up=False, detail=error.message)
        return Health(is_up=True, latency_ms=(time.perf_counter() - started) * 1000)

    async def close(self) -> None:
        await self._outbound.close()

    async def _find_runs(self, call: _Call, given: Mapping[str, Any]) -> Json:
        now, most = datetime.now(UTC), given.get("limit", _MOST)
        wanted: dict[str, Any] = {"tags": {"all_": [self._config.tag + given["client"]]}}
        if "states" in given:
            wanted["state"] = {"type": {"any_": list(given["states"])}}
        due = {}
        if "older_than_minutes" in given:
            due["before_"] = (now - timedelta(minutes=given["older_than_minutes"])).isoformat()
        if "within_hours" in given:
            due["after_"] = (now - timedelta(hours=given["within_hours"])).isoformat()
        if due:
            wanted["expected_start_time"] = due
        body = {"flow_runs": wanted, "limit": most, "sort": "EXPECTED_START_TIME_DESC"}
        found = await self._ask(call, "POST", "/flow_runs/filter", body)
        return {"items": await self._told(call, found.value, found.at), "has_more": len(found.value) >= most}

    async def _get_run(self, call: _Call, run_id: str) -> Json:
        run, at = await self._run(call, run_id)
        return (await self._told(call, [run], at))[0]

    async def _run(self, call: _Call, run_id: str) -> tuple[dict[str, Any], datetime]:
        said = await self._ask(call, "GET", f"/flow_runs/{run_id}")
        return said.value, said.at

    async def _states(self, call: _Call, run_id: str) -> list[dict[str, Any]]:
        states: list[dict[str, Any]] = (await self._ask(call, "GET", f"/flow_run_states/?flow_run_id={run_id}")).value
        return states

    async def _told(self, call: _Call, runs: list[dict[str, Any]], at: datetime) -> list[Json]:
        names = await self._flow_names(call, {run["flow_id"] for run in runs})
        told = []
        for run in runs:
            event = None
            if is_maybe_silent(run, now=at, patience=self._patience):
                event = await self._last_event(call, run["id"], at)
            seen = told_of(run, now=at, patience=self._patience, last_event=event)
            told.append({**seen, "flow": names.get(run["flow_id"], "")})
        return told

    async def _last_event(self, call: _Call, run_id: str, at: datetime) -> datetime | None:
        """The latest event about a run within our patience: heartbeats, its tasks, its changes of state."""
        asked = {
            "occurred": {
                "since": (at - self._patience.silent).isoformat(),
                "until": (at + timedelta(days=1)).isoformat(),
            },
            "any_resource": {"id": [f"prefect.flow-run.{run_id}"]},
        }
        found = (await self._ask(call, "POST", "/events/filter", {"filter": asked, "limit": 1}, missing=())).value
        return max((seen for each in found["events"] if (seen := moment(each["occurred"]))), default=None)

    async def _flow_names(self, call: _Call, ids: set[str]) -> Mapping[str, str]:
        unknown = sorted(ids - self._flows.keys())
        if unknown:
            body = {"flows": {"id": {"any_": unknown}}, "limit": len(unknown)}
            found = (await self._ask(call, "POST", "/flows/filter", body)).value
            if len(self._flows) + len(found) > _MOST_NAMES:
                self._flows.clear()
            self._flows |= {flow["id"]: flow["name"] for flow in found}
        return self._flows

    async def _set_state(self, call: _Call, run_id: str, state: Mapping[str, Any], key: str) -> Json:
        details = {**state.get("state_details", {}), "transition_id": str(transition_of(key))}
        body = {"state": {**state, "state_details": details}, "force": False}
        said = (await self._ask(call, "POST", f"/flow_runs/{run_id}/set_state", body)).value
        now, verdict, why = said.get("state") or {}, said["status"], said.get("details") or {}
        if verdict == "ACCEPT" or state_of([now], key) is not None:
            return {"id": run_id, **told_of_state(now)}
        reason = self._outbound.scrub(str(why.get("reason") or "it gives no reason"))
        after = why.get("delay_seconds")
        raise ConnectorError(
            f"{self.name} did not do {call.what} ({verdict}): {reason}",
            permanent=verdict != "WAIT",
            retry_after=float(after) if verdict == "WAIT" and after is not None else None,
        )

    async def _ask(
        self, call: _Call, method: str, path: str, body: Json = None, *, missing: tuple[int, ...] = (404, 410)
    ) -> _Said:
        url = self._config.url.rstrip("/") + path
        for is_last in (False, True):
            request = httpx.Request(method, url, json=body, headers={"Accept": "application/json"})
            answer = await self._outbound.send(
                await self._credentials.sign(request),
                what=call.what,
                timeout=max(0.001, call.ends - time.monotonic()),
                may_have_effect=call.is_act,
            )
            if answer.status != 401 or is_last or not self._credentials.doubt():
                break
        refusal = self._outbound.refusal(answer, what=call.what, may_have_effect=call.is_act, missing=missing)
        if refusal is not None:
            raise refusal
        try:
            return _Said(parse_json(answer.content), _clock_of(answer.headers))
        except ValueError as error:
            raise self._odd(call, error) from None

    def _check(self, action: str, arguments: Mapping[str, Json], *, is_act: bool) -> None:
        found = ACTIONS.get(action)
        if found is None:
            raise ConnectorError(
                f"{self.name}: there is no action {action[:100]!r}; there are {', '.join(ACTIONS)}.", permanent=True
            )
        if (found.risk != "read") is not is_act:
            raise ConnectorError(f"{self.name}: {action} is {'no' if is_act else 'an'} act.", permanent=True)
        problem = _CHECKS[action].problem(arguments)
        if problem is not None:
            raise ConnectorError(f"{self.name}: {action} is not called: {problem}.", permanent=True)

    def _refused(self, call: _Call, why: str) -> ConnectorError:
        return ConnectorError(f"{self.name}: {call.what} is not done: {why}.", permanent=True)

    def _odd(self, call: _Call, error: Exception) -> ConnectorError:
        return ConnectorError(
            f"{self.name} answered {call.what} with what is not the language of Prefect 3 ({type(error).__name__}).",
            permanent=not call.is_act,
            effect="unknown" if call.is_act else "none",
        )


def open_prefect(opening: Opening) -> PrefectConnector:
    """A connector of a stored configuration; calls nobody."""
    return PrefectConnector(opening, _read(opening))


async def prepare_prefect(opening: Opening, given: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: ARG001  # the contract of a kind
    """Check a configuration; nobody is asked."""
    _read(opening)
    return dict(opening.config)


def _read(opening: Opening) -> PrefectConfig:
    try:
        config = PrefectConfig.model_validate(dict(opening.config))
    except ValidationError as error:
        raise refused(problems_of(error)) from None
    try:
        _rules_of(opening, config)
    except ValueError as error:
        raise refused([FieldProblem("config.url", str(error))]) from None
    return config


def _rules_of(opening: Opening, config: PrefectConfig) -> Rules:
    return rules_for(
        config.url,
        hosts=extra_hosts(config.auth),
        allow_http=config.allow_http,
        allow_private=opening.allow_private,
        largest=_LARGEST,
        connect_seconds=config.connect_seconds,
        read_seconds=config.read_seconds,
        ca=config.ca,
    )


def _clock_of(headers: httpx.Headers) -> datetime:
    """The other side's time: ages of its runs are told by its own clock."""
    try:
        return parsedate_to_datetime(headers["date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return datetime.now(UTC)


# --- the acts: the state that each wants, or why not ---


class _Refused(Exception):
    """Not with a run in this state; nothing was sent."""


def _reset(run: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    if not run.get("deployment_id"):
        raise _Refused("the run has no deployment, so nobody would start it again")
    if not told["is_stuck"] and told["state_type"] != "FAILED":
        raise _Refused(f"the run is {told['state_name'] or 'in no state'} and not stuck")
    return {"type": "SCHEDULED", "name": "AwaitingRetry", "message": "Reset by ASOE after a check."}


def _cancel(run: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    kind = told["state_type"]
    if kind in ENDED or kind == "CANCELLING":
        raise _Refused(f"the run is {told['state_name']} already")
    is_held = kind == "SCHEDULED" and (not run.get("infrastructure_pid") or told["state_name"] == "Resuming")
    is_suspended = kind == "PAUSED" and run["state"]["state_details"].get("pause_reschedule")
    # where there is a process to stop, its worker stops it and says so
    return {
        "type": "CANCELLED" if is_held or is_suspended else "CANCELLING",
        "message": "Cancelled by ASOE after a check.",
    }


def _resume(run: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    if told["state_type"] != "PAUSED":
        raise _Refused(f"the run is {told['state_name'] or 'in no state'} and not paused")
    details = run["state"]["state_details"]
    if details.get("run_input_keyset"):
        raise _Refused("the run waits for an input that a person has to give in Prefect")
    message = "Resumed by ASOE after a check."
    if details.get("pause_reschedule"):
        return {"type": "SCHEDULED", "name": "Resuming", "message": message}
    return {"type": "RUNNING", "message": message}


_WANTED: Final = {"reset_run": _reset, "cancel_run": _cancel, "resume_run": _resume}

_ID: Final = {"type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}
_POSITIVE: Final = {"type": "number", "exclusiveMinimum": 0, "maximum": 100_000}


def _object(required: Mapping[str, Json], optional: Mapping[str, Json] | None = None) -> Json:
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {})},
        "additionalProperties": False,
    }


def _act(name: str, risk: Any, says: str) -> Action:
    return Action(name, risk, says, _object({"id": _ID}, {"state_id": _ID}), repeats="by_key", has_probe=True)


_ALL: Final = (
    Action(
        "find_runs",
        "read",
        "A client's flow runs, those due last first, each with what is wrong with it: {items, has_more}.",
        _object(
            {"client": {"type": "string", "minLength": 1, "maxLength": 320}},
            {
                "states": {"type": "array", "items": {"enum": list(STATE_TYPES)}, "minItems": 1},
                "older_than_minutes": _POSITIVE,
                "within_hours": _POSITIVE,
                "limit": {"type": "integer", "minimum": 1, "maximum": _MOST},
            },
        ),
    ),
    Action("get_run", "read", "One flow run, with what is wrong with it.", _object({"id": _ID})),
    Action("list_states", "read", "The states a flow run was in: {items}.", _object({"id": _ID})),
    _act("reset_run", "reversible", "Have a late, crashed, failed or zombie run started anew by its deployment."),
    _act("cancel_run", "irreversible", "Stop a run; what it did by half stays so."),
    _act("resume_run", "reversible", "Let a paused run go on."),
)
ACTIONS: Final = {action.name: action for action in _ALL}
_CHECKS: Final = {name: Checker(action.arguments) for name, action in ACTIONS.items()}

PREFECT: Final = Kind(KIND, "Prefect 3: stuck flow runs, reset, cancel, resume", open_prefect, prepare_prefect)
