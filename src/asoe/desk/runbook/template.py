"""The beginnings that `asoe runbook new` writes: one with comments, or a shipped runbook under a new name, each with its cases.

All pass their checks as they are.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from asoe.desk.runbook.language import read_runbook
from asoe.domain.errors import Missing
from asoe.domain.runbook import Runbook

_SHIPPED: Final = Path(__file__).parent / "shipped"


def runbook_text(name: str, shipped: str | None = None) -> str:
    """A runbook of this name; raises `Missing` when nothing is shipped under that one."""
    if shipped is None:
        return _RUNBOOK.replace("NAME", name)
    return re.sub(r"^runbook: .*$", f"runbook: {name}", _shipped(shipped), count=1, flags=re.MULTILINE)


def cases_text(name: str, shipped: str | None = None) -> str:
    return _CASES.replace("NAME", name) if shipped is None else _shipped(shipped, ".cases.yaml")


def shipped_runbooks() -> list[Runbook]:
    """What comes with the product, by name."""
    return [read_runbook(_shipped(name)) for name in _names()]


def _names() -> list[str]:
    return sorted(path.stem for path in _SHIPPED.glob("*.yaml") if not path.name.endswith(".cases.yaml"))


def _shipped(name: str, ending: str = ".yaml") -> str:
    if name not in _names():
        raise Missing(f"No runbook {name!r} is shipped; there are {', '.join(_names())}.", code="runbook_missing")
    return (_SHIPPED / f"{name}{ending}").read_text(encoding="utf-8")


_RUNBOOK: Final = """\
# A runbook: check, act once, verify, undo (docs/runbooks.md). Texts that start with = are CEL expressions; one with
# : , { } [ ] or # in it stands in single quotes. `asoe runbook check` names mistakes by line, `asoe runbook test` plays the
# recorded cases. Editors complete it with the schema that `asoe runbook schema` prints.
runbook: NAME
title: Unlock an account
resolution_type: auto_fix            # auto_fix, workflow_reset, billing_sync or token_refund
description: The client cannot sign in because the account is locked after too many attempts.

match:                               # which tickets it is for; phrases are compared by meaning
  categories: [account]
  phrases:
    - I am locked out of my account
    - my account is blocked after wrong passwords
  unlike:
    - I forgot which address I signed up with

connectors: {crm: crm}               # alias used below: name of the organization's connector

goal:                                # what "fixed" means: read anew after every fix
  reads: [{call: crm.get_account, with: {email: =contact.email}, into: account}]
  met: =account.status == "active"

steps:
  - lookup: customer                 # read once and kept; ends the run when it is not there
    call: crm.find_customer
    with: {email: =contact.email}
    expect: {that: =customer.id != "", reason: not_found, note: No customer has this address.}

  - fix: unlock                      # check → when → guards → act → verify
    check: [{call: crm.get_account, with: {email: =contact.email}, into: account}]
    when: =account.status == "locked"
    guards:                          # what must hold, else the run ends for the reason
      - {that: =account.fraud == false, otherwise: escalate, reason: fraud}
    act:
      call: crm.unlock_account
      with: {id: =customer.id}
      undo: {call: crm.lock_account, with: {id: =customer.id}}
    verify: {that: =account.status == "active", patience: {within: 30s, every: 5s}}
    still_broken: escalate           # or next, or fail (which undoes what was done)

replies:                             # what the client is told; {{expressions}} are replaced
  verified: {en: "Your account is active again: you can sign in now."}
"""

_CASES: Final = """\
# Recorded cases of NAME: what the systems answered, and how the run must end. `asoe runbook test NAME.yaml` plays them.
# Several answers for the same call are given in order (times: how often), the last one again and again; after: only once that
# act was done. A call that is not recorded fails the case, and so does an answer that nobody asked for.
cases:
  - name: a locked account is unlocked
    contact: {email: ana@example.com}
    calls:
      - {call: crm.get_account, gives: {status: locked, fraud: false}}
      - {call: crm.find_customer, with: {email: ana@example.com}, gives: {id: c1}}
      - {call: crm.unlock_account, with: {id: c1}}
      - {call: crm.get_account, after: crm.unlock_account, gives: {status: active, fraud: false}}
    expect:
      verdict: verified
      acts: [{call: crm.unlock_account, with: {id: c1}}]

  - name: an account under suspicion is left to a person
    contact: {email: ana@example.com}
    calls:
      - {call: crm.get_account, gives: {status: locked, fraud: true}}
      - {call: crm.find_customer, gives: {id: c1}}
    expect: {verdict: escalated, reason: fraud, acts: []}
"""
