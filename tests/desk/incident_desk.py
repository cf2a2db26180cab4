"""Accounts that wait for a server they share, the runbook that sees it, and the one that starts the server again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from runbook_desk import Estate, publish

from asoe.connectors.contract import Action, ConnectorError
from asoe.desk import housekeeping, people
from asoe.desk.connector import Connectors

LOOK = """
runbook: wait-account
title: Your account works again
resolution_type: auto_fix
match:
  categories: [account]
  phrases: [my account stands still]
  when: =ticket.subject.contains("still")
connectors: {estate: estate}
goal:
  reads: [{call: estate.get_account, with: {email: =contact.email}, into: account}]
  met: =account.status == "active"
steps:
  - lookup: account
    call: estate.get_account
    with: {email: =contact.email}
  - lookup: server
    call: estate.get_server
    with: {id: =account.server}
    expect: {that: =server.status == "running", reason: incident, note: The server of these accounts stands still.}
  - fix: own
    check: [{call: estate.get_account, with: {email: =contact.email}, into: account}]
    when: =account.status == "locked"
    act: {call: estate.unlock, with: {email: =contact.email}, undo: {call: estate.lock, with: {email: =contact.email}}}
"""
MEND = """
runbook: restart-server
title: The server runs again
resolution_type: auto_fix
match: {when: =false}
connectors: {estate: estate}
slots:
  - {name: server, type: identifier, question: {en: Which server?}}
goal:
  reads: [{call: estate.get_server, with: {id: =slots.server}, into: server}]
  met: =server.status == "running"
steps:
  - fix: restart
    check: [{call: estate.get_server, with: {id: =slots.server}, into: server}]
    when: =server.status == "halted"
    act: {call: estate.restart, with: {id: =slots.server}}
"""
FIXES = [{"check": "estate.get_server", "run": "restart-server", "slots": {"server": "id"}}]


@dataclass
class Servers(Estate):
    """The estate with servers: an account that waits for one goes on when its server runs again."""

    servers: dict[str, str] = field(default_factory=dict)
    is_down: bool = False

    async def actions(self):
        restart = Action("restart", "reversible", repeats="by_key", has_probe=True)
        return {**await super().actions(), "get_server": Action("get_server", "read"), "restart": restart}

    async def read(self, action, arguments, *, timeout):
        if self.is_down:
            raise ConnectorError("out of order", permanent=True)
        if action == "get_server":
            return {"id": arguments["id"], "status": self.servers[arguments["id"]]}
        return await super().read(action, arguments, timeout=timeout)

    async def act(self, action, arguments, *, key, timeout):
        if action != "restart":
            return await super().act(action, arguments, key=key, timeout=timeout)
        if key not in self.keys:
            self.effects.append((action, arguments["id"]))
            self.keys[key] = {"ok": True}
            if not self.does_nothing:
                self.servers[arguments["id"]] = "running"
                for account in self.accounts.values():
                    if account["server"] == arguments["id"] and account["status"] == "waiting":
                        account["status"] = "active"
        return self.keys[key]


async def stand(world, *, clients: int = 3, fixes: Any = FIXES, mend: str = "lent") -> Servers:
    """Servers `eu` (halted) and `us`, both runbooks in use, and an incident from `clients` on."""
    servers = Servers({}, servers={"eu": "halted", "us": "running"})
    world.desk = replace(world.desk, connectors=Connectors.fixed({"estate": servers}))
    await publish(world, source=LOOK)
    await publish(world, mend, source=MEND)
    rules = {"clients": clients, "alike": clients + 2, "within": "1h", "fixes": fixes}
    await people.change_organization(world.desk, world.acme.owner, settings={"incidents": rules})
    return servers


async def writes(world, servers, name: str, *, status: str = "waiting", server: str = "eu", **more: Any):
    email = f"{name}@example.org"
    servers.accounts.setdefault(email, {"status": status, "server": server, "fraud": False})
    more.setdefault("subject", "it stands still")
    made = await world.open_by_contact(f"nothing moves for {name} #category:account", email=email, **more)
    await world.drain()
    return made


async def turn(world, *, times: int = 1) -> None:
    """What the worker does every second: the round of the incidents, then the jobs it has enqueued."""
    for _ in range(times):
        await housekeeping.keep_incidents(world.desk)
        await world.drain()


async def the_incident(world):
    (found,) = await world.rows("select * from asoe.incidents")
    return found
