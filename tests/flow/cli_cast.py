"""The real `asoe` as people run it: a process of its own, a data folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Run:
    """One finished command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class CommandLine:
    """Runs commands against one data folder."""

    data_dir: Path

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ASOE_")}
        return {**kept, "ASOE_DATA_DIR": str(self.data_dir), "ASOE_LOG_LEVEL": "error"}

    def command(self, *arguments: str | Path) -> list[str]:
        return [sys.executable, "-m", "asoe.cli.main", *map(str, arguments)]

    def __call__(self, *arguments: str | Path, timeout: float = 120, environment: dict[str, str] | None = None) -> Run:
        done = subprocess.run(
            self.command(*arguments),
            env=environment or self.environment,
            cwd=self.data_dir.parent,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Run(done.returncode, done.stdout, done.stderr)
