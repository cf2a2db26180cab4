"""What an outside agent may do: its caller's rights, cut down to what the organization allows agents. Computed here only.

A tool that is in neither is refused with the reason; the organization's limits never add a right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import UUID

from asoe.domain.errors import Denied, FieldProblem
from asoe.domain.organization import Principal

TOOLS: Final[dict[str, str]] = {
    "open_ticket": "open a ticket",
    "find_tickets": "list and search tickets",
    "read_ticket": "read a ticket with what was said",
    "wait_for_ticket": "wait until a ticket got somewhere",
    "answer_ticket": "write into a ticket's conversation",
    "add_note": "write an internal note",
    "search_knowledge": "find passages of articles",
    "read_article": "read an article",
    "list_runbooks": "see which runbooks there are",
    "dry_run_runbook": "see what a runbook would do",
    "run_runbook": "start a runbook; its acts keep to its autonomy, and wait for approval where they have to",
    "read_run": "read what a run found and did",
    "list_approvals": "see which acts wait for people",
    "read_stats": "read the organization's figures",
    "read_insights": "read how many tickets were handled, contained, verified and durable, and why others went to people",
}
"""The tools an outside agent can be given, and what each is for."""

LIVE_RUNS_PER_DAY: Final = 20
_MOST_RUNS: Final = 10_000


@dataclass(frozen=True, slots=True)
class AgentLimits:
    """What an organization lets an agent do at most; None: every tool, or every runbook."""

    tools: frozenset[str] | None = None
    runbooks: frozenset[str] | None = None
    live_runs_per_day: int = LIVE_RUNS_PER_DAY


@dataclass(frozen=True, slots=True)
class OutsideAgents:
    """The organization's limits: for every agent, and by key where one has its own."""

    default: AgentLimits = AgentLimits()
    by_key: Mapping[UUID, AgentLimits] = field(default_factory=dict)

    def limits_for(self, principal: Principal) -> AgentLimits:
        found = None if principal.key_id is None else self.by_key.get(principal.key_id)
        return self.default if found is None else found


@dataclass(frozen=True, slots=True)
class Delegation:
    """What is left to the agent: `tools` it may use, and for every other one why not."""

    tools: frozenset[str]
    refused: Mapping[str, Denied]
    runbooks: frozenset[str] | None
    live_runs_per_day: int

    def check(self, tool: str) -> None:
        """Raise `Denied` unless the tool is delegated."""
        if tool not in self.tools:
            raise self.refused.get(tool) or _not_allowed(tool)

    def check_runbook(self, name: str) -> None:
        """Raise `Denied(runbook_not_delegated)` for a runbook that agents may not start here."""
        if self.runbooks is not None and name not in self.runbooks:
            raise Denied(
                f"This organization does not let you start the runbook {name!r}: its settings name which "
                "(outside_agents.runbooks).",
                code="runbook_not_delegated",
            )


def delegate(own: Mapping[str, Denied | None], limits: AgentLimits) -> Delegation:
    """The caller's rights, by tool (None: it may), cut with the organization's limits."""
    refused = {name: denied for name, denied in own.items() if denied is not None}
    for name in own:
        if name not in refused and limits.tools is not None and name not in limits.tools:
            refused[name] = _not_allowed(name)
    return Delegation(frozenset(own) - refused.keys(), refused, limits.runbooks, limits.live_runs_per_day)


def read_outside_agents(stored: Any, problems: list[FieldProblem]) -> OutsideAgents:
    """Read the setting `outside_agents`; what is wrong is added to `problems`."""
    if stored is None:
        return OutsideAgents()
    if not isinstance(stored, Mapping):
        problems.append(
            FieldProblem("outside_agents", "must be an object with tools, runbooks, live_runs_per_day, keys")
        )
        return OutsideAgents()
    default = _limits({name: item for name, item in stored.items() if name != "keys"}, "outside_agents", problems)
    given = stored.get("keys") or {}
    if not isinstance(given, Mapping):
        problems.append(FieldProblem("outside_agents.keys", "must map the id of an API key to its limits"))
        given = {}
    by_key: dict[UUID, AgentLimits] = {}
    for key_id, limits in given.items():
        place = f"outside_agents.keys.{key_id}"
        try:
            by_key[UUID(str(key_id))] = _limits(limits, place, problems, default=default)
        except ValueError:
            problems.append(FieldProblem(place, "is not the id of an API key"))
    return OutsideAgents(default, by_key)


def _limits(
    stored: Any, place: str, problems: list[FieldProblem], *, default: AgentLimits = AgentLimits()
) -> AgentLimits:
    if not isinstance(stored, Mapping):
        problems.append(FieldProblem(place, "must be an object with tools, runbooks or live_runs_per_day"))
        return default
    found = default
    for name, value in stored.items():
        if name in {"tools", "runbooks"}:
            if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
                problems.append(FieldProblem(f"{place}.{name}", "must be a list of names"))
                continue
            if name == "tools":
                unknown = [one for one in value if one not in TOOLS]
                problems.extend(
                    FieldProblem(f"{place}.tools", f"{one!r} is no tool: {', '.join(TOOLS)}") for one in unknown
                )
                found = replace(found, tools=frozenset(value))
            else:
                found = replace(found, runbooks=frozenset(value))
        elif name == "live_runs_per_day":
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_RUNS:
                problems.append(FieldProblem(f"{place}.{name}", f"must be a whole number from 0 to {_MOST_RUNS}"))
            else:
                found = replace(found, live_runs_per_day=value)
        else:
            problems.append(FieldProblem(f"{place}.{name}", "is no limit: tools, runbooks, live_runs_per_day"))
    return found


def _not_allowed(tool: str) -> Denied:
    return Denied(
        f"This organization does not let you use the tool {tool!r}: its settings name which (outside_agents.tools).",
        code="tool_not_delegated",
    )
