"""One runbook that says everything the language can say, as text."""

WHOLE = """\
runbook: unlock-account
title: Unlock an account
resolution_type: auto_fix
description: Everything the language can say.
match:
  categories: [account]
  intents: [login_problem]
  phrases: [I am locked out]
  unlike: [I forgot my address]
  when: '=ticket.language != ""'
connectors: {estate: estate-eu}
slots:
  - name: refuel
    type: consent
    unit: GB
    required: false
    question: {en: May we refuel?, de: Dürfen wir?}
    examples: {given: [yes, go ahead], refused: [no, better not]}
  - {name: phone, type: phone, question: {en: Which number?}}
  - {name: color, type: choice, choices: [red, blue], required: false, question: {en: Which color?}}
timeout: 20m
most_acts: 5
limits: [{per: client, window: 24h, count: 3}]
hours: ["mon-fri 08:00-18:00 Europe/Berlin"]
goal:
  reads: [{call: estate.get_account, with: {email: =contact.email}, into: account}]
  met: =account.status == "active"
  patience: {within: 30s, every: 5s}
steps:
  - lookup: customer
    call: estate.find_customer
    with: {phone: =slots.phone, deep: [{x: =ticket.number}, 3]}
    select: '=result.items[0]'
    expect: {that: =customer.id != "", otherwise: refuse, reason: not_found, note: Nobody.}
  - let: {over: =customer.used - customer.limit, fixed: 3, word: plain, list: [1, 2]}
  - fix: unlock
    check: [{call: estate.get_account, with: {id: =customer.id}, into: account}]
    when: =account.status == "locked"
    guards: [{that: =account.fraud == false, reason: fraud}]
    act:
      - call: estate.unlock_account
        with: {id: =customer.id}
        once_per: =customer.id
        amount: 2.5
        unit: USD
        guards: [{that: '=slots.refuel.status == "given" && over > 1.0', reason: needs_consent}]
        limits: [{per: organization, window: 7d, total: 50, reason: too_much}]
        approval: {people: 2, role: admin, expires_after: 1h, when: =amount > 20}
        undo: {call: estate.lock_account, with: {id: =customer.id, was: =unlocked.was}}
        into: unlocked
      - {call: estate.note, with: {text: '=unlocked.was'}}
    verify: {that: =account.status == "active", patience: {within: 30s, every: 2s}}
    still_broken: next
  - do: mobile-data
    with: {line: =contact.phone}
    when: =has(customer.line)
  - each: =customer.jobs
    as: job
    where: =job.state == "stuck"
    most: 20
    steps:
      - {wait: 90s}
  - when: =over > 1 && fixed == 3
    then: [{ask: refuel, patience: 1d}]
    else: [{refuse: too_little, note: So little.}]
  - ask: color
    when: =word == "plain"
  - escalate: out_of_ideas
    when: =slots.color == "red"
    note: Try another color.
procedures:
  mobile-data:
    parameters: [line]
    goal: {reads: [{call: estate.line, with: {id: =line}, into: state}], met: =state.data}
    steps:
      - fix: enable
        check: [{call: estate.line, with: {id: =line}, into: state}]
        when: =!state.data
        act: {call: estate.enable, with: {id: =line}}
replies:
  verified: {en: "Done: {{account.status}}."}
"""
