"""What every command shares: how it opens an installation, names its organization, prints, and ends."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from asoe.config import Settings, settings
from asoe.domain.errors import AsoeError, Conflict, Denied, Invalid, Missing, Unavailable
from asoe.domain.organization import Principal

T = TypeVar("T")

EXIT_CODES: Final[dict[type[AsoeError], int]] = {Invalid: 2, Denied: 3, Missing: 4, Conflict: 5, Unavailable: 6}

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", help="Folder of the embedded PostgreSQL; otherwise ASOE_DATA_DIR, otherwise ./asoe-data."
    ),
]
OrgOption = Annotated[
    str | None, typer.Option("--org", help="Slug or id of the organization; not needed while there is only one.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, for programs.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before what cannot be undone.")]

out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 200)
err = Console(stderr=True, highlight=False, soft_wrap=True)
_PATIENT_MS: Final = 15_000
"""A command that opens a ticket waits for the models: nobody else is slowed by it."""


def load(**given: Any) -> Settings:
    """The settings of the environment, with what the command line gave in their place."""
    return settings().model_copy(update={name: value for name, value in given.items() if value is not None})


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's coroutine on the fastest loop there is."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


def explain(error: AsoeError) -> int:
    """Print an error in words on standard error; returns the exit code of its kind."""
    err.print(f"[bold red]{error.kind}[/] ({error.code}): ", end="")
    err.print(error.message, markup=False)
    if isinstance(error, Unavailable) and error.retry_after is not None and not error.permanent:
        err.print(f"Try again in {error.retry_after:g} s.")
    return next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1)


def say(sentence: str) -> None:
    """Progress in words: standard error, so that standard output holds results only."""
    err.print(f"[dim]{sentence}[/]")


@asynccontextmanager
async def opened(data_dir: Path | None = None, *, may_make: bool = False, **given: Any) -> AsyncIterator[Any]:
    """The installation (`asoe.app.App`), with models that are loaded when first needed.

    Raises `Missing(no_installation)` where there is none, unless `may_make`: a mistyped folder becomes no database.
    """
    from asoe.app import open_app
    from asoe.cli.models import ModelsOnDemand

    wanted = load(data_dir=data_dir, **given)
    if not may_make:
        expect_installation(wanted)
    elif wanted.is_embedded and not has_database(wanted.data_dir):
        say(f"Making the database in {wanted.data_dir.expanduser().absolute()}, which takes some seconds.")
    async with open_app(wanted, ai=ModelsOnDemand()) as app:
        yield app


def expect_installation(wanted: Settings) -> None:
    """Raises `Missing(no_installation)` when the data folder holds no embedded database; other databases say it themselves."""
    if wanted.is_embedded and not has_database(wanted.data_dir):
        raise Missing(
            f"There is no installation at {wanted.data_dir.expanduser().absolute()}, and this command makes none. Name its "
            "folder with --data-dir or ASOE_DATA_DIR, or make one: asoe org create SLUG --name NAME --owner-email ADDRESS",
            code="no_installation",
        )


def has_database(data_dir: Path) -> bool:
    try:
        return (data_dir.expanduser() / "cluster").exists()
    except PermissionError:  # it is somebody's: opening it says whose
        return True


def owner_url(app: Any) -> str:
    """The owner's connection; raises `Unavailable(no_owner_url)` on a machine that has none."""
    if app.owner_url is None:
        raise Unavailable(
            "This takes the owner's connection: set ASOE_DATABASE_URL to the address `asoe migrate` uses.",
            code="no_owner_url",
            permanent=True,
        )
    return str(app.owner_url)


async def organization(app: Any, slug_or_id: str | None) -> Any:
    """The named organization with its owner and engine, or the only one there is; raises `Missing` or `Invalid`."""
    from asoe.store import organizations

    if slug_or_id is None:
        listed = await organizations.list_organizations(app.database)
        if not listed:
            raise Missing(
                "There is no organization yet. Make one: asoe org create SLUG --name NAME --owner-email ADDRESS",
                code="no_organization",
            )
        if len(listed) > 1:
            names = ", ".join(found.slug for found in listed)
            raise Invalid(f"There are several organizations ({names}): name one with --org.", code="which_organization")
        slug_or_id = listed[0].slug
    return await organizations.find_organization(owner_url(app), slug_or_id)


async def acting(work: Callable[[Any, Principal], Awaitable[T]], slug_or_id: str | None, data_dir: Path | None) -> T:
    """Do some work with the desk as the owner of the named organization."""
    async with opened(data_dir, triage_budget_ms=_PATIENT_MS) as app:
        found = await organization(app, slug_or_id)
        return await work(app.desk, found.owner)


def read_text(file: Path) -> str:
    """What a file holds, or with - standard input; raises `Invalid(unreadable_file)`."""
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{file} cannot be read: {error}", code="unreadable_file") from None


def identifier(text: str, *, of: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Invalid(
            f"{text!r} is no id of {with_article(of)}; copy it from the list command.", code="bad_id"
        ) from None


def with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def how_many(number: int, noun: str) -> str:
    if number != 1:
        noun += "es" if noun.endswith("x") else "s"
    return f"{number} {noun}"


def show(rows: Iterable[Any], columns: Sequence[str], *, as_json: bool, empty: str = "None.") -> None:
    """Print rows (dataclasses or mappings) as a table of `columns`, or whole as a JSON list."""
    found = [row if isinstance(row, Mapping) else as_mapping(row) for row in rows]
    if as_json:
        print_json(found)
        return
    if not found:
        say(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in found:
        table.add_row(*(Text(_cell(row.get(column))) for column in columns))  # words of others are no markup
    out.print(table)


def show_one(row: Any, *, as_json: bool) -> None:
    """Print one thing, a line for each of its fields."""
    found = row if isinstance(row, Mapping) else as_mapping(row)
    if as_json:
        print_json(found)
        return
    width = max(len(name) for name in found)
    for name, value in found.items():
        label = name if "." in name else name.replace("_", " ")  # the name of a fact is given back as it is
        out.print(f"[bold]{label:<{width}}[/]  ", end="")
        out.print(_cell(value), markup=False)


def show_settings(found: Mapping[str, Any], *, as_json: bool) -> None:
    """Print settings in the form that the command beside it reads."""
    from asoe.desk.settings_text import write_settings

    if as_json:
        print_json(found)
    else:
        out.print(write_settings(found) or "Nothing is set.", markup=False)


def print_json(value: Any) -> None:
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2, default=plain)
    sys.stdout.write("\n")


def as_mapping(value: Any) -> dict[str, Any]:
    if not is_dataclass(value) or isinstance(value, type):
        raise TypeError(f"{type(value).__name__} is not shown to people")
    return asdict(value)


def plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, set | frozenset):
        return sorted(value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return str(value)


def sure(question: str, *, yes: bool) -> None:
    """Ask before what cannot be undone; a refusal, or nobody to ask, ends the command."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Invalid(f"{question} Nobody is there to ask: repeat with --yes.", code="not_confirmed")
    if not typer.confirm(question, err=True):
        raise typer.Exit(1)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(sorted(map(str, value))) or "–"
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, default=plain)
    return str(value)
