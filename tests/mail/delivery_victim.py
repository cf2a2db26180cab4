"""A worker that dies by SIGKILL at a named point of one delivery. Arguments: app DSN, system DSN, organization, delivery, point."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from asoe.connectors import mail
from asoe.desk import delivery
from asoe.desk.context import Desk
from asoe.queue import Queue
from asoe.store import deliveries
from asoe.store.db import open_database


async def die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def main(app: str, system: str, org_id: str, delivery_id: str, point: str) -> None:
    database = await open_database(app, system, pool=2)
    desk = Desk(database, Queue(), None, lambda: datetime.now(UTC), public_url="https://desk.acme.example")  # type: ignore[arg-type]
    if point == "before the commit":
        deliveries.settle = die  # type: ignore[assignment]
    else:
        mail.send = die  # type: ignore[assignment]
    await delivery.deliver(desk, UUID(org_id), UUID(delivery_id))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
