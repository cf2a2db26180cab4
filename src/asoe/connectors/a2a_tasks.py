"""What an A2A agent's JSON says (protocol 1.0): its card, and a task with its state, its words and who asked for it.

All of it is the agent's own word: read within bounds here, believed nowhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from asoe.connectors.contract import Json

KEY_META: Final = "asoe/idempotency-key"
DEADLINE_META: Final = "asoe/deadline"
_PREFIX: Final = "TASK_STATE_"
_ENDED: Final = frozenset({"completed", "failed", "canceled", "rejected"})
_ASKING: Final = frozenset({"input-required", "auth-required"})
_MESSAGES: Final = UUID("5f0c6d0e-8a5b-4c53-9a55-2d1b0b6a9e14")


class _Said(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True, populate_by_name=True)


class Interface(_Said):
    """One place where an agent is spoken to."""

    url: str = Field(max_length=2000)
    binding: str = Field("", alias="protocolBinding")
    version: str = Field("", alias="protocolVersion")
    tenant: str | None = Field(None, max_length=200)


class Skill(_Said):
    id: str
    name: str = ""
    description: str = ""


class Card(_Said):
    """Who an agent says it is, and what it says it can do."""

    interfaces: tuple[Interface, ...] = Field(alias="supportedInterfaces", max_length=100)
    skills: tuple[Skill, ...] = Field((), max_length=1000)

    @property
    def interface(self) -> Interface | None:
        """The first over which this connector can speak."""
        usable = (each for each in self.interfaces if each.binding == "JSONRPC" and each.version.startswith("1."))
        return next(usable, None)


@dataclass(frozen=True, slots=True)
class Seen:
    """A task as its agent told of it; `messages` and `metadata` are what its history and the agent keep beside it."""

    id: str
    state: str
    text: str = field(default="", repr=False)
    data: Json = field(default=None, repr=False)
    left_out: int = 0
    messages: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def is_over(self) -> bool:
        return self.state in _ENDED

    @property
    def is_asking(self) -> bool:
        """Whether it goes on only when somebody answers, and nobody of ours does."""
        return self.state in _ASKING

    def is_of(self, key: str) -> bool:
        """Whether it began with our message of this key."""
        wanted = message_id(key)
        return self.metadata.get(KEY_META) == key or any(one.get("messageId") == wanted for one in self.messages)

    def deadline(self, key: str) -> datetime | None:
        """When it was to be done, as our own message to it says."""
        for one in self.messages:
            if one.get("messageId") == message_id(key):
                told = one.get("metadata")
                return _moment(told.get(DEADLINE_META)) if isinstance(told, Mapping) else None
        return None


def message_id(key: str) -> str:
    """The id of the one message that hands this work over: the same however often it is sent."""
    return str(uuid5(_MESSAGES, key))


def card_of(value: Json) -> Card:
    """Raises ValueError for what is no card."""
    try:
        return Card.model_validate(value)
    except ValidationError:
        raise ValueError("is no Agent Card of A2A 1.0") from None


def about(value: Json) -> Json:
    """What a card says of its agent as a whole."""
    return {name: each for name, each in value.items() if name not in {"skills", "signatures"}}


def digest_of(value: Json, skill: str) -> str:
    """All that a card says of its agent and of this one skill: who it is, where and how it is spoken to, what it takes on."""
    mine = [each for each in value.get("skills", ()) if isinstance(each, Mapping) and each.get("id") == skill]
    said = json.dumps([about(value), mine], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()


def task_of(value: Json) -> Seen:
    """A task; raises ValueError for what is none."""
    if not isinstance(value, Mapping) or not isinstance(value.get("id"), str) or not value["id"]:
        raise ValueError("is no task")
    status = value.get("status")
    state = status.get("state") if isinstance(status, Mapping) else None
    if not isinstance(state, str) or not state.startswith(_PREFIX):
        raise ValueError("is a task without a state")
    assert isinstance(status, Mapping)
    artifacts: list[Any] = [each for each in _listed(value.get("artifacts")) if isinstance(each, Mapping)]
    holders = artifacts or [status.get("message")]
    text, data, left_out = _parts(
        part for each in holders if isinstance(each, Mapping) for part in _listed(each.get("parts"))
    )
    metadata = value.get("metadata")
    return Seen(
        id=value["id"][:200],
        state=state.removeprefix(_PREFIX).lower().replace("_", "-")[:40],
        text=text,
        data=data,
        left_out=left_out,
        messages=tuple(each for each in _listed(value.get("history")) if isinstance(each, Mapping)),
        metadata=metadata if isinstance(metadata, Mapping) else {},
    )


def answered_at_once(value: Json) -> Seen:
    """A message in place of a task: the work is over, as the agent has it; raises ValueError for what is none."""
    parts = value.get("parts") if isinstance(value, Mapping) else None
    if parts is None or parts != _listed(parts):
        raise ValueError("is neither a task nor a message")
    text, data, left_out = _parts(iter(parts))
    return Seen(id="", state="completed", text=text, data=data, left_out=left_out)


def told(seen: Seen, *, most: int, state: str | None = None) -> Json:
    """What a run keeps of a task, at most `most` letters of it, marked as the word of somebody else."""
    data, left_out = seen.data, seen.left_out
    if data is not None and len(json.dumps(data, default=str)) > most:
        data, left_out = None, left_out + 1
    return {
        "untrusted": True,
        "state": state or seen.state,
        "task": seen.id,
        "text": seen.text[:most],
        "data": data,
        "left_out": left_out,
        "is_cut": len(seen.text) > most,
    }


def _parts(parts: Iterator[Any]) -> tuple[str, Json, int]:
    """The text of all, the first data, and how many there are of what is neither."""
    texts: list[str] = []
    data: Json = None
    left_out = 0
    for part in parts:
        if isinstance(part, Mapping) and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif isinstance(part, Mapping) and "data" in part and data is None:
            data = part["data"]
        else:
            left_out += 1
    return "\n".join(texts), data, left_out


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _moment(value: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else None
