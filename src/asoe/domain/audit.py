"""The audit trail: what the digests of facts and blocks are made of, and how a block is proved, or where it breaks.

A block holds the digests of its facts and the hash of the block before. What is said of a client is digested with a salt; when the
client is erased the salt goes, and of those facts only that they happened, when and of which kind is still proved.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

FIRST: Final = bytes(32)
"""What the first block names as the one before it."""

BACKDATED_US: Final = 3_600_000_000
"""A fact may be this much older than the block before its own: a transaction that took long."""

What = Literal["altered", "removed", "inserted", "reordered", "resealed", "backdated", "unsalted"]
WORDS: Final[dict[What, str]] = {
    "altered": "the fact is not what was sealed",
    "removed": "the fact was sealed and is gone",
    "inserted": "the fact lies among sealed ones and was never sealed",
    "reordered": "the fact stands in another's place",
    "resealed": "the block is not the one this installation sealed, or not behind the one before it",
    "backdated": "the fact is dated long before the block before its own was sealed",
    "unsalted": "the salt of a client is gone, and no sealed fact says that the client was erased",
}


@dataclass(frozen=True, slots=True)
class Told:
    """A fact as it is digested: `at` in microseconds since 1970, `told` the JSON text of ticket, session, actor and data."""

    id: int
    kind: str
    at: int
    told: str


@dataclass(frozen=True, slots=True)
class Block:
    """A sealed block. `subjects` names, for each fact, the contact whose salt is in its inner digest, or None."""

    org_id: UUID
    number: int
    fact_ids: Sequence[int]
    subjects: Sequence[UUID | None]
    inner_digests: Sequence[bytes]
    digests: Sequence[bytes]
    previous: bytes
    hash: bytes
    mark: bytes | None
    sealed_at: datetime

    @property
    def sealed_us(self) -> int:
        return microseconds(self.sealed_at)


@dataclass(frozen=True, slots=True)
class Break:
    """The first place at which the trail is not what was sealed."""

    what: What
    block: int
    fact_id: int | None = None

    def __str__(self) -> str:
        where = f"block {self.block}" if self.fact_id is None else f"block {self.block}, fact {self.fact_id}"
        return f"{self.what} at {where}: {WORDS[self.what]}"


@dataclass(frozen=True, slots=True)
class Proof:
    """How far a trail is proved. `erased` facts keep only their time and kind; `unsealed` ones are too new to be in a block."""

    blocks: int = 0
    facts: int = 0
    erased: int = 0
    unsealed: int = 0
    head: bytes = FIRST
    proved_until: datetime | None = None
    broken: Break | None = None


def inner_digest(told: str, salt: bytes = b"") -> bytes:
    return hashlib.sha256(salt + told.encode()).digest()


def digest(fact: Told, inner: bytes) -> bytes:
    return hashlib.sha256(f"{fact.id}|{fact.kind}|{fact.at}|".encode() + inner).digest()


def block_hash(block: Block) -> bytes:
    """Over the block before, the block's own name and time, and the digests in their order."""
    name = f"{block.org_id}|{block.number}|{len(block.digests)}|{block.sealed_us}|".encode()
    return hashlib.sha256(block.previous + name + b"".join(block.digests)).digest()


def mark(key: bytes, block: Block) -> bytes:
    """What an installation adds to a hash, so that nobody without its secret key can seal anew."""
    return hmac.digest(key, block.org_id.bytes + block.number.to_bytes(8, "big") + block.hash, "sha256")


def microseconds(moment: datetime) -> int:
    whole = int(moment.replace(microsecond=0).timestamp())
    return whole * 1_000_000 + moment.microsecond


def check_seal(block: Block, *, after: Block | None, keys: Iterable[bytes] | None) -> Break | None:
    """Whether the block is behind `after` (None: the first), hashes to what it says, and was sealed with one of `keys`.

    `keys` None: the mark is not looked at.
    """
    number, previous = (1, FIRST) if after is None else (after.number + 1, after.hash)
    as_long = {len(block.fact_ids), len(block.subjects), len(block.inner_digests), len(block.digests)}
    is_whole = (
        block.number == number
        and block.previous == previous
        and len(as_long) == 1
        and block.hash == block_hash(block)
        and (keys is None or any(_is_marked(block, key) for key in keys))
    )
    return None if is_whole else Break("resealed", number)


def check_facts(
    block: Block,
    facts: Mapping[int, Told],
    salts: Mapping[UUID, bytes],
    erased: frozenset[UUID],
    *,
    not_before: int | None = None,
) -> tuple[Break | None, int]:
    """The block's first fact that is not as it was sealed, and how many are proved without what they say (erased clients)."""
    hidden = 0
    places = zip(block.fact_ids, block.subjects, block.inner_digests, block.digests, strict=True)
    for fact_id, subject, inner, sealed in places:
        fact = facts.get(fact_id)
        if fact is None:
            return Break("removed", block.number, fact_id), hidden
        salt = b"" if subject is None else salts.get(subject)
        if salt is None and subject not in erased:
            return Break("unsalted", block.number, fact_id), hidden
        if digest(fact, inner) != sealed or (salt is not None and inner_digest(fact.told, salt) != inner):
            return Break(_how(block, fact, salts), block.number, fact_id), hidden
        if not_before is not None and fact.at < not_before - BACKDATED_US:
            return Break("backdated", block.number, fact_id), hidden
        hidden += salt is None
    return None, hidden


def _is_marked(block: Block, key: bytes) -> bool:
    return block.mark is not None and hmac.compare_digest(block.mark, mark(key, block))


def _how(block: Block, fact: Told, salts: Mapping[UUID, bytes]) -> What:
    """Whether what stands there was sealed in the same block under another id."""
    places = zip(block.fact_ids, block.subjects, block.digests, strict=True)
    for fact_id, subject, sealed in places:
        salt = b"" if subject is None else salts.get(subject)
        if salt is None or fact_id == fact.id:
            continue
        there = Told(fact_id, fact.kind, fact.at, fact.told)
        if digest(there, inner_digest(fact.told, salt)) == sealed:
            return "reordered"
    return "altered"
