"""`python -m asoe.demo.estate --port P --store FILE [--seed N]`: serve the estate on this machine until it is stopped."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from pathlib import Path

from asoe.demo.estate.seed import seed
from asoe.demo.estate.service import DEMO_TOKENS, Tokens, running
from asoe.demo.estate.store import open_store


async def _serve(*, port: int, path: Path | None, number: int, tokens: Tokens) -> None:
    store = open_store(path)
    if not store.find("accounts"):
        seed(store, number)
    stop = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    async with running(store, tokens, port=port) as url:
        print(f"The estate listens on {url} (document: {url}/openapi.json).", flush=True)
        await stop.wait()
    store.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m asoe.demo.estate", description="A made-up company's back office.")
    parser.add_argument("--port", type=int, default=8010, help="0 takes a free one (default: 8010)")
    parser.add_argument("--store", type=Path, default=None, help="SQLite file (default: in memory, gone at the end)")
    parser.add_argument("--seed", type=int, default=1, help="which customers to make in an empty store (default: 1)")
    parser.add_argument("--token", default=DEMO_TOKENS.operator, help="of an operator: may read and write")
    parser.add_argument("--reader-token", default=DEMO_TOKENS.reader, help="of a reader: may read")
    parser.add_argument("--admin-token", default=DEMO_TOKENS.admin, help="of the administration: may break things")
    given = parser.parse_args()
    tokens = Tokens(operator=given.token, reader=given.reader_token, admin=given.admin_token)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(port=given.port, path=given.store, number=given.seed, tokens=tokens))


if __name__ == "__main__":
    main()
