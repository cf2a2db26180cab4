"""A runbook as a value: check, act once, verify, undo. Reading one from text, and running it, are the desk's business.

Every `Expression` is the source of a CEL expression; `Template` values are JSON in which such expressions stand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias

SLOT_TYPES: Final = (
    "text",
    "name",
    "identifier",
    "email",
    "phone",
    "number",
    "amount",
    "date",
    "choice",
    "boolean",
    "consent",
)
MOST_EXAMPLES: Final = 20
RISKS: Final = ("read", "reversible", "costly", "irreversible")
RUN_STATUSES: Final = (
    "pending",
    "running",
    "waiting",
    "verified",
    "unverified",
    "failed",
    "escalated",
    "refused",
    "cancelled",
)
ENDED_RUNS: Final = frozenset(RUN_STATUSES[3:])
RUN_MODES: Final = ("live", "shadow", "dry_run")
ASK_PATIENCE: Final = timedelta(hours=48)
RECOVERED: Final = "recovered"
"""The reason of a verified run that did nothing: the goal came true by itself, so nobody may call it a fix."""

Risk: TypeAlias = Literal["read", "reversible", "costly", "irreversible"]
SlotStatus: TypeAlias = Literal["read", "absent", "unsure"]
Expression: TypeAlias = str
Template: TypeAlias = Any
Verdict: TypeAlias = Literal["verified", "unverified", "failed", "escalated", "refused", "cancelled"]


@dataclass(frozen=True, slots=True)
class Slot:
    """What a runbook needs to know from the client. `examples`: value → phrasings, as data; the reader generalises.

    A `consent` has the values `given` and `refused`; `unit` names what its amount counts (GB, USD, …). `pattern`: a
    regular expression the whole of an `identifier` must match. `question` by language; `en` is required.
    """

    name: str
    type: str
    question: Mapping[str, str]
    is_required: bool = True
    choices: tuple[str, ...] = ()
    examples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unit: str | None = None
    pattern: str | None = None


@dataclass(frozen=True, slots=True)
class Consent:
    """The value of a consent slot. `amount` None: given without a limit being named. Absent is a value of its own."""

    status: Literal["given", "refused", "absent"]
    amount: Decimal | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class SlotReading:
    """One slot as read: where from (`ticket.subject`, `ticket.body`, `message:SEQ`, `contact`, `policy`, `person`) and how
    sure (0..1).

    `value`: text, Decimal, bool, date as ISO text, or `Consent`; None unless `status` is `read`. An `unsure` consent
    counts as absent.
    """

    name: str
    status: SlotStatus
    value: Any = None
    source: str = ""
    evidence: str = ""
    confidence: float = 0.0


@dataclass(frozen=True, slots=True)
class Call:
    """An action of a connector: `connector` is the runbook's alias for it."""

    connector: str
    action: str
    arguments: Mapping[str, Template] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Read:
    """A read of the outside; its result stands under `into` in later expressions (and as `result` in `select`)."""

    call: Call
    into: str
    select: Expression | None = None


@dataclass(frozen=True, slots=True)
class Guard:
    """What must hold before an act; when it does not, the run ends escalated or refused for `reason`.

    `ask`: a slot that the client is asked for first, if that is all it lacks; before the first act of its fix.
    """

    that: Expression
    reason: str
    otherwise: Literal["escalate", "refuse", "skip"] = "escalate"
    note: str = ""
    ask: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """A cap on an act: at most `count` acts, or `total` of its amount, per `per` within `window`.

    `per` is run, client, organization or a CEL expression's value as text. Counted over all runs of the organization.
    """

    per: Literal["run", "client", "organization"]
    window: timedelta | None = None
    count: int | None = None
    total: Decimal | None = None
    reason: str = "over_cap"


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """That a person must agree to an act: how many, with which role at least, for how long."""

    people: int = 1
    role: Literal["agent", "admin", "owner"] = "agent"
    expires_after: timedelta = timedelta(hours=24)
    when: Expression = "true"


@dataclass(frozen=True, slots=True)
class Act:
    """One outside effect. `once_per`: an expression whose value is the business key, unique per connector and action.

    `amount` values what it moves, for caps, consents and reports; `undo` is called in reverse when the run fails.
    """

    call: Call
    guards: tuple[Guard, ...] = ()
    limits: tuple[Limit, ...] = ()
    once_per: Expression | None = None
    amount: Expression | None = None
    unit: str | None = None
    undo: Call | None = None
    approval: ApprovalRule | None = None
    into: str | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """Fresh reads, and what must be true of them."""

    reads: tuple[Read, ...]
    that: Expression


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a verification may take to come true: tried again every `every` until `within` has passed."""

    within: timedelta = timedelta(0)
    every: timedelta = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Lookup:
    """Reads something once and keeps it; `otherwise` ends the run when `expect` is false or the thing is absent."""

    id: str
    read: Read
    expect: Guard | None = None


@dataclass(frozen=True, slots=True)
class Let:
    """Names values of expressions for later steps."""

    id: str
    values: Mapping[str, Expression]


@dataclass(frozen=True, slots=True)
class Fix:
    """check → `when` → acts → verify → re-check the goal. Without `verify`, the same check must then read `when` false.

    `still_broken`: what to do when the verification fails: go on to the next step, escalate, or fail (undoing).
    """

    id: str
    check: tuple[Read, ...]
    when: Expression
    acts: tuple[Act, ...]
    verify: Condition | None = None
    patience: Patience = Patience()
    still_broken: Literal["next", "escalate", "fail"] = "escalate"


@dataclass(frozen=True, slots=True)
class Procedure:
    """Calls another runbook of the same file (`procedures`) or of the organization, with its own goal first."""

    id: str
    name: str
    values: Mapping[str, Template] = field(default_factory=dict)
    when: Expression | None = None


@dataclass(frozen=True, slots=True)
class Each:
    """Does `steps` for every element of `over` for which `where` holds, as `name`; at most `most` of them."""

    id: str
    over: Expression
    name: str
    steps: tuple[Step, ...]
    where: Expression | None = None
    most: int = 100


@dataclass(frozen=True, slots=True)
class When:
    """Does `then` when the condition holds, else `otherwise`."""

    id: str
    condition: Expression
    then: tuple[Step, ...]
    otherwise: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Ask:
    """Asks the client for a slot (a consent, too) when it has not been read yet; silence ends the run escalated."""

    id: str
    slot: str
    when: Expression | None = None
    patience: timedelta = ASK_PATIENCE


@dataclass(frozen=True, slots=True)
class Wait:
    """Holds no process: the run goes on after `duration`."""

    id: str
    duration: timedelta


@dataclass(frozen=True, slots=True)
class End:
    """Ends the whole run, from inside a procedure too."""

    id: str
    verdict: Literal["escalated", "refused"]
    reason: str
    when: Expression | None = None
    note: str = ""


Step: TypeAlias = Lookup | Let | Fix | Procedure | Each | When | Ask | Wait | End


@dataclass(frozen=True, slots=True)
class Goal:
    """The check that defines "fixed". `presumed`: whether steps run even if it is met at the start (else: nothing to do)."""

    reads: tuple[Read, ...]
    met: Expression
    patience: Patience = Patience()


@dataclass(frozen=True, slots=True)
class Routine:
    """A goal and the ordered steps towards it: a runbook's body, or a procedure's."""

    goal: Goal
    steps: tuple[Step, ...]
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """Which tickets a runbook is for. `phrases` are compared by meaning, `when` is decided over ticket and contact."""

    categories: tuple[str, ...] = ()
    intents: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()
    when: Expression | None = None


@dataclass(frozen=True, slots=True)
class Runbook:
    """One version of a runbook. `connectors`: alias → name of the organization's connector; `replies` by outcome, language.

    `timeout` counts from the start and not while waiting for people; `most_acts` caps the effects of one run.
    """

    name: str
    title: str
    resolution_type: str
    match: Match
    connectors: Mapping[str, str]
    slots: tuple[Slot, ...]
    routine: Routine
    procedures: Mapping[str, Routine] = field(default_factory=dict)
    replies: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    description: str = ""
    timeout: timedelta = timedelta(minutes=10)
    most_acts: int = 20
    limits: tuple[Limit, ...] = ()
    hours: tuple[str, ...] = ()
    version: int = 0

    def slot(self, name: str) -> Slot:
        """Raises `KeyError` when the runbook declares no such slot."""
        return next(slot for slot in self.slots if slot.name == name)


# What an interpreter asks of whoever runs it, and what it is told. `path` names the place in this run (steps, rounds and
# occurrences), the same on every replay: it is what idempotency keys are made of.


@dataclass(frozen=True, slots=True)
class Observe:
    """Read the outside. `is_final`: a verification or goal, whose result must be kept as evidence."""

    path: str
    call: Call
    is_final: bool = False


@dataclass(frozen=True, slots=True)
class Perform:
    """Do this once; guards have been checked, limits and approval have not."""

    path: str
    act: Act
    call: Call
    business_key: str | None = None
    amount: Decimal | None = None
    undo: Call | None = None
    needs_approval: bool = False
    is_undo: bool = False


@dataclass(frozen=True, slots=True)
class Inquire:
    """The client must be asked for this slot; the answer is its reading.

    `needs_amount`: a consent without one is no answer. `before`: the act that the answer is wanted for; nobody is asked for
    what could not be done anyway.
    """

    path: str
    slot: Slot
    patience: timedelta
    needs_amount: bool = False
    before: Act | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Go on after `duration`."""

    path: str
    duration: timedelta


Effect: TypeAlias = Observe | Perform | Inquire | Pause


@dataclass(frozen=True, slots=True)
class Observed:
    """What a read gave: JSON. `error` is set when it failed for good (`is_missing`: the thing does not exist)."""

    value: Any = None
    error: str | None = None
    is_missing: bool = False


@dataclass(frozen=True, slots=True)
class Performed:
    """How an act ended. `simulated`: not done, because the run is a rehearsal; `declined`: limits, approval or autonomy said no.

    `failed`: surely without effect; `unknown`: nobody can tell whether it took effect, so a person must look.
    """

    status: Literal["done", "already_done", "simulated", "declined", "failed", "unknown"]
    value: Any = None
    reason: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Passed:
    """The pause is over."""


Told: TypeAlias = Observed | Performed | SlotReading | Passed


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended, and on what it rests."""

    verdict: Verdict
    reason: str
    note: str = ""
    step: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    undone: Sequence[str] = ()
