"""What a connector must offer: named actions with risk, schema, probe and undo; and how it says that something failed.

A connector knows one system and nothing of tickets, runbooks or autonomy. It holds no state of any run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable
from uuid import UUID

from asoe.domain.runbook import Risk

Json = Any


@dataclass(frozen=True, slots=True)
class Action:
    """One thing a connector can do. `arguments` is a JSON Schema (object).

    `repeats`: `by_key` when the system itself makes a repeated key one effect; `naturally` when doing it twice is as good as once
    (set to a value, unlock); `never` when a second call is a second effect. `amount`: the argument that says how much is moved.
    `is_hearsay`: what it answers is an outside agent's word, which proves nothing.
    """

    name: str
    risk: Risk
    description: str = ""
    arguments: Mapping[str, Json] = field(default_factory=lambda: {"type": "object"})
    repeats: Literal["by_key", "naturally", "never"] = "never"
    has_probe: bool = False
    undo: str | None = None
    amount: str | None = None
    is_hearsay: bool = False


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether an act with this key took effect. `unknown`: the system cannot tell."""

    status: Literal["done", "not_done", "unknown"]
    value: Json = None


@dataclass(frozen=True, slots=True)
class Changed:
    """What is not as it was reviewed, and not used until it is again: as it was, and as the system says it is (None: gone).

    `digest` stands for all that is said of it now: who reviews it by that reviews what was shown, and nothing that came later.
    """

    name: str
    was: Mapping[str, Json]
    now: Mapping[str, Json] | None
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the system answers and lets us in; `detail` says what to do when not."""

    is_up: bool
    detail: str = ""
    latency_ms: float | None = None
    changed: tuple[Changed, ...] = ()


class ConnectorError(Exception):
    """A call failed. `permanent`: the same call will fail again. `effect`: whether it may have taken effect.

    `is_missing`: the named thing does not exist there. `is_drift`: it is not what a person has reviewed. The message is fit for staff: no secrets, no client text.
    """

    def __init__(
        self,
        message: str,
        *,
        permanent: bool,
        effect: Literal["none", "unknown"] = "none",
        is_missing: bool = False,
        retry_after: float | None = None,
        is_drift: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.permanent = permanent
        self.effect = effect
        self.is_missing = is_missing
        self.retry_after = retry_after
        self.is_drift = is_drift


@runtime_checkable
class Connector(Protocol):
    """One configured outside system. All methods raise `ConnectorError` and nothing else."""

    kind: str

    async def actions(self) -> Mapping[str, Action]:
        """By name. May ask the system (tools of an MCP server); cached by the caller."""
        ...

    async def read(self, action: str, arguments: Mapping[str, Json], *, timeout: float) -> Json:
        """Call an action of risk `read`; JSON back."""
        ...

    async def act(self, action: str, arguments: Mapping[str, Json], *, key: str, timeout: float) -> Json:
        """Call an action with effect, once; `key` is sent as the idempotency key where the system has such."""
        ...

    async def probe(self, action: str, arguments: Mapping[str, Json], *, key: str, timeout: float) -> Probe:
        """Find out whether the act with this key took effect, without changing anything."""
        ...

    async def health(self) -> Health: ...

    async def close(self) -> None: ...


@runtime_checkable
class TransactionalConnector(Connector, Protocol):
    """The one stated exception to the three beats: a ledger in our own database, where intent, effect and outcome are one
    transaction (design §4.4). Everything the act does, it does with the connection it is handed; it never commits.
    """

    async def act_within(
        self, connection: Any, action: str, arguments: Mapping[str, Json], *, key: str, org_id: UUID
    ) -> Json: ...
