"""Writes src/asoe/client/synchronous.py from asynchronous.py: the same client without `await`.

Run it after a change: `.venv/bin/python scripts/write_sync_client.py`. A test compares the two.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

CLIENT = Path(__file__).parents[1] / "src" / "asoe" / "client"
OPENING = '''"""The client without `await`, for scripts and threads. Written from asynchronous.py by scripts/write_sync_client.py."""'''
WORDS = {
    "AsyncAsoe": "Asoe",
    "AsyncIterator": "Iterator",
    "AsyncClient": "Client",
    "AsyncBaseTransport": "BaseTransport",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "aclose": "close",
    "aread": "read",
    "aiter_lines": "iter_lines",
}


def without_await(source: str) -> str:
    """The same module with plain functions, iterators and context managers."""
    made = re.sub(r'\A""".*?"""', OPENING, source, flags=re.DOTALL)
    made = re.sub(r"\b(async|await) ", "", made)
    made = made.replace("asyncio.sleep(", "time.sleep(").replace("import asyncio\n", "")
    made = re.sub(r"\b[A-Za-z_]+\b", lambda found: WORDS.get(found[0], found[0]), made)
    formatted = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--no-cache", "--stdin-filename", str(CLIENT / "synchronous.py"), "-"],
        input=made,
        capture_output=True,
        check=True,
        text=True,
    )
    return formatted.stdout


if __name__ == "__main__":
    made = without_await((CLIENT / "asynchronous.py").read_text(encoding="utf-8"))
    (CLIENT / "synchronous.py").write_text(made, encoding="utf-8")
