"""The audit trail: facts are sealed in blocks behind everybody's back, and proved, or shown where they break, on request.

The database digests (`asoe.seal_facts`), `domain/audit.py` proves; the mark beside each block takes the secret key, which no
database holds.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from asoe.desk.context import Desk
from asoe.domain import audit as rules
from asoe.domain.audit import FIRST, Block, Break, Proof, Told
from asoe.domain.errors import Denied, Invalid
from asoe.domain.organization import Principal
from asoe.store import audit
from asoe.store.audit import Standing
from asoe.store.db import Connection

PURPOSE: Final = "asoe.audit"
MOST: Final = 2_000
"""Facts in a block."""


async def seal(desk: Desk, engine: Principal) -> bool:
    """Seal the next facts in one block with its mark; False when there was nothing to seal."""
    async with desk.database.org_transaction(engine) as connection:
        number = await audit.seal(connection, limit=MOST)
        if number is None:
            return False
        block = (await audit.blocks(connection, engine.org_id, after=number - 1))[0]
        await audit.set_mark(connection, engine.org_id, number, rules.mark(desk.derive(PURPOSE)[0], block))
        return True


async def prove_trail(
    desk: Desk, principal: Principal, *, newest: int | None = None, head: tuple[int, bytes] | None = None
) -> Proof:
    """Prove all blocks, or the `newest`; `head` is a block's number and hash as somebody noted it. Owners and admins only."""
    _require_admin(principal)
    async with desk.database.org_reading(principal) as connection:
        return await prove(connection, principal.org_id, desk.derive(PURPOSE), newest=newest, head=head)


async def read_standing(desk: Desk, principal: Principal) -> Standing:
    """The newest block, and what waits to be sealed."""
    _require_admin(principal)
    async with desk.database.org_reading(principal) as connection:
        return await audit.standing(connection, principal.org_id)


async def prove(
    connection: Connection,
    org_id: UUID,
    keys: Sequence[bytes],
    *,
    newest: int | None = None,
    head: tuple[int, bytes] | None = None,
) -> Proof:
    """Compute every digest anew, block by block, and stop at the first that differs."""
    now = await audit.standing(connection, org_id)
    erased = await audit.erased(connection, org_id)
    last = 0 if now.block is None else now.block.number
    start = 0 if newest is None else max(0, last - newest)
    before = (await audit.blocks(connection, org_id, after=start - 1))[0] if start else None
    stranger = None if newest is not None else await audit.inserted(connection, org_id)
    proved, facts, hidden = before, 0, 0
    broken: Break | None = None
    while broken is None:
        found = await audit.blocks(connection, org_id, after=start if proved is None else proved.number)
        if not found:
            break
        block = found[0]
        broken = rules.check_seal(block, after=proved, keys=keys) or _noted(block, head)
        if broken is None and stranger is not None and stranger[0] == block.number:
            broken = Break("inserted", *stranger)
        if broken is None:
            told = await audit.told(connection, org_id, block.fact_ids)
            salts = await audit.salts(connection, org_id, {each for each in block.subjects if each is not None})
            since = None if proved is None else proved.sealed_us
            broken, unread = rules.check_facts(block, told, salts, frozenset(erased), not_before=since)
            hidden += unread
        if broken is None:
            proved, facts = block, facts + len(block.fact_ids)
    broken = broken or _missing(proved, head)
    return Proof(
        blocks=0 if proved is None else proved.number,
        facts=facts,
        erased=hidden,
        unsealed=now.unsealed,
        head=FIRST if proved is None else proved.hash,
        proved_until=None if proved is None else proved.sealed_at,
        broken=broken,
    )


async def export(desk: Desk, principal: Principal, *, with_salts: bool = False) -> AsyncIterator[str]:
    """The trail, a line of JSON for each block, which `prove_export` proves without this database.

    What is said of clients is proved only `with_salts`: keep such a copy no longer than the clients' own data.
    """
    _require_admin(principal)
    number = 0
    while True:
        async with desk.database.org_reading(principal) as connection:
            found = await audit.blocks(connection, principal.org_id, after=number)
            if not found:
                return
            block = found[0]
            told = await audit.told(connection, principal.org_id, block.fact_ids)
            known = {each for each in block.subjects if each is not None}
            salts = await audit.salts(connection, principal.org_id, known if with_salts else ())
        number = block.number
        yield json.dumps(_line(block, told, salts), ensure_ascii=False, separators=(",", ":"))


def prove_export(lines: Iterable[str], *, head: tuple[int, bytes] | None = None) -> Proof:
    """Prove an exported trail. Marks are not in it: the `head` somebody noted says that it is the whole and the true one."""
    before: Block | None = None
    facts = hidden = 0
    broken: Break | None = None
    for at, line in enumerate(lines, 1):
        block, told, salts = _read_line(line, at)
        unsalted = frozenset(each for each in block.subjects if each is not None and each not in salts)
        broken = rules.check_seal(block, after=before, keys=None) or _noted(block, head)
        broken = broken or rules.check_facts(block, told, salts, unsalted)[0]
        if broken is not None:
            break
        before, facts = block, facts + len(block.fact_ids)
        hidden += sum(subject is not None and subject not in salts for subject in block.subjects)
    broken = broken or _missing(before, head)
    return Proof(
        blocks=0 if before is None else before.number,
        facts=facts,
        erased=hidden,
        head=FIRST if before is None else before.hash,
        proved_until=None if before is None else before.sealed_at,
        broken=broken,
    )


def read_head(text: str) -> tuple[int, bytes]:
    """`NUMBER:HASH` as `verify` prints it; raises `Invalid(bad_head)`."""
    number, _, digest = text.partition(":")
    try:
        found = int(number), bytes.fromhex(digest)
    except ValueError:
        found = 0, b""
    if found[0] < 1 or len(found[1]) != len(FIRST):
        raise Invalid(
            f"{text!r} is no head of a trail; it is a block's number, a colon, and its hash as 64 hexadecimal digits.",
            code="bad_head",
        )
    return found


def _noted(block: Block, head: tuple[int, bytes] | None) -> Break | None:
    is_other = head is not None and head[0] == block.number and head[1] != block.hash
    return Break("resealed", block.number) if is_other else None


def _missing(last: Block | None, head: tuple[int, bytes] | None) -> Break | None:
    is_short = head is not None and head[0] > (0 if last is None else last.number)
    return Break("resealed", head[0]) if is_short and head is not None else None


def _line(block: Block, told: dict[int, Told], salts: dict[UUID, bytes]) -> dict[str, Any]:
    places = zip(block.fact_ids, block.subjects, block.inner_digests, block.digests, strict=True)
    listed = []
    for fact_id, subject, inner, digest in places:
        fact = told.get(fact_id)
        line: dict[str, Any] = {"id": fact_id, "inner": inner.hex(), "digest": digest.hex()}
        if fact is not None:
            line |= {"kind": fact.kind, "at": fact.at, "told": fact.told}
        if subject is not None:
            line["contact"] = str(subject)
            if subject in salts:
                line["salt"] = salts[subject].hex()
        listed.append(line)
    return {
        "org_id": str(block.org_id),
        "block": block.number,
        "sealed_at": block.sealed_at.isoformat(),
        "previous": block.previous.hex(),
        "hash": block.hash.hex(),
        "facts": listed,
    }


def _read_line(line: str, at: int) -> tuple[Block, dict[int, Told], dict[UUID, bytes]]:
    try:
        given = json.loads(line)
        facts = given["facts"]
        bare = Block(
            org_id=UUID(given["org_id"]),
            number=int(given["block"]),
            fact_ids=[int(each["id"]) for each in facts],
            subjects=[UUID(each["contact"]) if "contact" in each else None for each in facts],
            inner_digests=[bytes.fromhex(each["inner"]) for each in facts],
            digests=[bytes.fromhex(each["digest"]) for each in facts],
            previous=bytes.fromhex(given["previous"]),
            hash=bytes.fromhex(given["hash"]),
            mark=None,
            sealed_at=datetime.fromisoformat(given["sealed_at"]),
        )
        told = {
            int(each["id"]): Told(int(each["id"]), str(each["kind"]), int(each["at"]), str(each["told"]))
            for each in facts
            if "told" in each
        }
        salts = {UUID(each["contact"]): bytes.fromhex(each["salt"]) for each in facts if "salt" in each}
    except (ValueError, KeyError, TypeError) as error:
        raise Invalid(f"Line {at} is no block of an exported audit trail ({error}).", code="bad_trail") from None
    return bare, told, salts


def _require_admin(principal: Principal) -> None:
    if principal.role not in {"owner", "admin"}:
        raise Denied("Only an owner or admin proves or exports the audit trail.", code="admin_only")
