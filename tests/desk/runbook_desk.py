"""A runbook that unlocks accounts, the estate it acts on, and a desk that has it published."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from asoe.connectors.contract import Action, ConnectorError, Health, Probe
from asoe.desk import autonomy
from asoe.desk.runbook import shelf

RUNBOOK = """
runbook: unlock-account
title: Your account is unlocked
resolution_type: auto_fix
match:
  categories: [account]
  phrases: [my account is locked]
  when: =ticket.subject.contains("locked")
connectors: {estate: estate}
slots: [SLOTS]
goal:
  reads: [{call: estate.get_account, with: {email: =contact.email}, into: account}]
  met: =account.status == "active"
steps:
  - fix: unlock
    check: [{call: estate.get_account, with: {email: =contact.email}, into: account}]
    when: =account.status == "locked"
    guards: [{that: =account.fraud == false, otherwise: escalate, reason: fraud}]
    act:
      call: estate.unlock
      with: {email: =contact.email}
      undo: {call: estate.lock, with: {email: =contact.email}}
"""
CONSENT = '{name: terms, type: consent, question: {en: "May we unlock it?", de: "Dürfen wir?"}, examples: {given: [yes], refused: [no]}}'


@dataclass
class Estate:
    """Accounts outside: counts effects, obeys keys."""

    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    effects: list[tuple[str, str]] = field(default_factory=list)
    keys: dict[str, Any] = field(default_factory=dict)
    does_nothing: bool = False
    kind: str = "estate"

    async def actions(self):
        acts = (Action(name, "reversible", repeats="by_key", has_probe=True) for name in ("unlock", "lock"))
        return {action.name: action for action in (Action("get_account", "read"), *acts)}

    async def read(self, action, arguments, *, timeout):
        account = self.accounts.get(arguments["email"])
        if account is None:
            raise ConnectorError("no such account", permanent=True, is_missing=True)
        return dict(account)

    async def act(self, action, arguments, *, key, timeout):
        if key not in self.keys:
            self.effects.append((action, arguments["email"]))
            if not self.does_nothing:
                self.accounts[arguments["email"]]["status"] = {"unlock": "active", "lock": "locked"}[action]
            self.keys[key] = {"ok": True}
        return self.keys[key]

    async def probe(self, action, arguments, *, key, timeout):
        return Probe("done", self.keys[key]) if key in self.keys else Probe("not_done")

    async def health(self):
        return Health(is_up=True)

    async def close(self):
        pass


async def publish(world, level="lent", slots="", source=RUNBOOK):
    row, version = await shelf.save(world.desk, world.acme.admin, source.replace("SLOTS", slots))
    await shelf.publish(world.desk, world.acme.admin, row.name, version.version)
    if level == "lent":
        until = world.clock() + timedelta(days=60)
        await autonomy.lend(world.desk, world.acme.owner, row.name, reason="a test", until=until)
    else:
        await autonomy.set_level(world.desk, world.acme.admin, row.name, level)


async def opened(world, body="I cannot get in #category:account", **more):
    made = await world.open_by_contact(body, subject="locked out", **more)
    await world.drain()
    return made


async def speaks_in(world, made):
    async with world.desk.database.org_reading(world.acme.agent) as connection:
        return await connection.fetchval("select id from public.support_sessions where ticket_id = $1", made.id)


async def run_of(world, made):
    (found,) = await world.rows("select id, status, reason from asoe.runbook_runs where ticket_id = $1", made.id)
    return found
