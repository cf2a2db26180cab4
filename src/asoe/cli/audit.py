"""`asoe audit`: proves that the audit trail is what was sealed, and exports it for others to prove."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from asoe.cli.door import DataDir, Json, OrgOption, acting, err, how_many, print_json, read_text, run, say
from asoe.domain.audit import Proof

app = typer.Typer(help="Prove and export the audit trail.", no_args_is_help=True)


@app.command()
def verify(
    *,
    file: Annotated[Path | None, typer.Option(help="An exported trail instead of the database's; - reads it.")] = None,
    head: Annotated[str, typer.Option(help="NUMBER:HASH that verify printed before: it must be in the trail.")] = "",
    newest: Annotated[int | None, typer.Option(min=1, help="Only so many of the newest blocks.")] = None,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Compute every digest anew: says up to where the trail is proved, and where it breaks first. Ends with 1 when it breaks.

    Note the head where nobody of the database's operators writes: with it, nothing before can be taken back unseen.
    """
    from asoe.desk import audit

    wanted = audit.read_head(head) if head else None
    if file is not None:
        found = audit.prove_export(read_text(file).splitlines(), head=wanted)
    else:

        async def work(desk: Any, owner: Any) -> Proof:
            return await audit.prove_trail(desk, owner, newest=newest, head=wanted)

        found = run(acting(work, org, data_dir))
    if as_json:
        print_json(
            {
                "is_whole": found.broken is None,
                "blocks": found.blocks,
                "facts": found.facts,
                "erased": found.erased,
                "unsealed": found.unsealed,
                "proved_until": found.proved_until,
                "head": f"{found.blocks}:{found.head.hex()}",
                "broken": None if found.broken is None else str(found.broken),
            }
        )
    else:
        _tell(found)
    if found.broken is not None:
        raise typer.Exit(1)


@app.command()
def export(
    *,
    file: Annotated[Path | None, typer.Argument(help="A new file; without it standard output.")] = None,
    with_salts: Annotated[
        bool, typer.Option("--with-salts", help="What is said of clients can be proved as well; see docs/audit.md.")
    ] = False,
    org: OrgOption = None,
    data_dir: DataDir = None,
) -> None:
    """Write the trail as JSON lines, a block each, which `asoe audit verify --file` proves without a database."""

    async def work(desk: Any, owner: Any) -> int:
        from asoe.desk import audit

        blocks = 0
        out = sys.stdout if file is None else file.open("x", encoding="utf-8")
        try:
            async for line in audit.export(desk, owner, with_salts=with_salts):
                out.write(line + "\n")
                blocks += 1
        finally:
            if file is not None:
                out.close()
        return blocks

    say(f"{run(acting(work, org, data_dir))} blocks")


def _tell(found: Proof) -> None:
    if found.broken is not None:
        err.print("[bold red]The trail breaks:[/] ", end="")
        err.print(str(found.broken), markup=False)
    if found.proved_until is not None:
        say(
            f"Proved: {how_many(found.blocks, 'block')} with {how_many(found.facts, 'fact')}, "
            f"until {found.proved_until:%Y-%m-%d %H:%M:%S} UTC."
        )
    else:
        say(
            "Proved: nothing, "
            + ("nothing is sealed yet." if found.broken is None else "it breaks in the first block.")
        )
    if found.erased:
        say(
            f"Of {how_many(found.erased, 'fact')} only time and kind are proved: a client was erased, or salts are not given."
        )
    if found.unsealed:
        say(f"{how_many(found.unsealed, 'fact')} too new to be sealed.")
    if found.blocks:
        print(f"{found.blocks}:{found.head.hex()}")
