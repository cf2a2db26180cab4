"""Opens a ticket, waits until the engine answered, asked or gave it to a person, and prints the conversation.

ASOE_URL=http://127.0.0.1:8080 ASOE_KEY=asoe_… python examples/open_a_ticket.py "Where does our VAT number go?"
"""

from __future__ import annotations

import asyncio
import os
import sys

from asoe.client import AsyncAsoe


async def ask(asoe: AsyncAsoe, question: str, *, timeout: float = 60.0) -> list[str]:
    """What was said, as `role: words`."""
    ticket = await asoe.create_ticket(
        subject=question[:80], body=question, contact={"email": "ana@client.example", "name": "Ana"}
    )
    ticket = await asoe.wait_for_ticket(ticket.id, timeout=timeout)
    print(f"#{ticket.number} {ticket.category}, {ticket.severity}: {ticket.status}")
    if ticket.session_id is None:
        return []
    session = await asoe.get_session(ticket.session_id)
    return [f"{message.role}: {message.content}" for message in session.messages if not message.is_internal]


async def main() -> None:
    if len(sys.argv) != 2:
        sys.exit('Say what the client asks: python examples/open_a_ticket.py "Where does our VAT number go?"')
    async with AsyncAsoe(given("ASOE_URL"), given("ASOE_KEY")) as asoe:
        for line in await ask(asoe, sys.argv[1]):
            print(line)


def given(name: str) -> str:
    return os.environ.get(name) or sys.exit(
        f"{name} is not set. ASOE_URL is where `asoe serve` or `asoe demo` says it listens, ASOE_KEY a key that "
        "`asoe key create` prints."
    )


if __name__ == "__main__":
    asyncio.run(main())
