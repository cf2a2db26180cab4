"""ASOE as an A2A agent (protocol 1.0, JSON-RPC) at /a2a: a task is the caller's own ticket, seen from outside.

`door` admits and shows the card, `tasks` says how a ticket looks as a task, `agent` answers the protocol's methods.
"""
