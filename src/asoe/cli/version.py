"""`asoe version`."""

from __future__ import annotations

import platform
from importlib import metadata

import typer

from asoe.cli.door import Json, out, print_json


def add_to(app: typer.Typer) -> None:
    app.command()(version)


def version(*, as_json: Json = False) -> None:
    """Print the versions of ASOE, Python and what it stands on."""
    found = {"asoe": metadata.version("asoe"), "python": platform.python_version()}
    found |= {name: metadata.version(name) for name in ("asyncpg", "fastapi", "granian", "onnxruntime", "pgqueuer")}
    if as_json:
        print_json(found)
    else:
        out.print("\n".join(f"{name} {number}" for name, number in found.items()))
