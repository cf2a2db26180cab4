"""`asoe import` and `asoe export`. Acts as the organization's owner."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from asoe.cli.door import DataDir, Json, OrgOption, acting, as_mapping, err, print_json, run, say
from asoe.domain.errors import Invalid


class Source(StrEnum):
    """Where an export comes from."""

    zendesk = "zendesk"
    chatwoot = "chatwoot"
    csv = "csv"


def add_to(app: typer.Typer) -> None:
    app.command("import")(import_tickets)
    app.command("export")(export)


def import_tickets(
    *,
    source: Annotated[Source, typer.Argument(help="zendesk, chatwoot (their JSON exports) or csv.")],
    file: Annotated[Path, typer.Argument(help="The export.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check everything, write nothing.")] = False,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Import tickets with their history. Repeating goes on where it ended; wrong rows are named and the others come in.

    The engine is quiet on imported tickets until their client writes again. Ends with 2 when a row was wrong.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{file} cannot be read as UTF-8 text: {error}.", code="unreadable_file") from None

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.cli.demo import bars
        from asoe.desk import exchange

        with bars() as advance:
            return await exchange.import_tickets(
                desk,
                owner,
                source=source.value,
                text=text,
                dry_run=dry_run,
                progress=lambda done, total: advance("tickets", done, total),
            )

    count = run(acting(work, org, data_dir))
    if as_json:
        print_json({**as_mapping(count), "dry_run": dry_run})
    else:
        verb = "would be imported" if dry_run else "imported"
        say(f"{count.created} tickets with {count.messages} messages {verb}, {count.skipped} were here already.")
        for problem in count.problems[:50]:
            err.print(f"{problem.place}: {problem.problem}", markup=False)
        if len(count.problems) > 50:
            say(f"… and {len(count.problems) - 50} more; --json lists all.")
    if count.problems:
        raise typer.Exit(2)


def export(
    *,
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Write everything of one organization into a folder, a file of JSON lines per noun; secrets stay out.

    Left out is what is made anew from the rest, and the trail (asoe audit export); docs/operations/backup.md names both.
    """

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import exchange

        return await exchange.export_organization(desk, owner, folder)

    written = run(acting(work, org, data_dir))
    if as_json:
        print_json(written)
    else:
        say(f"{sum(written.values())} rows in {len(written)} files, in {folder}")
