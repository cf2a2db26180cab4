"""`asoe agents`: what the engine's agents did for a ticket, and the same judged again. Acts as the organization's owner."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from asoe.cli.door import DataDir, Json, OrgOption, acting, identifier, out, print_json, read_text, run, say, show
from asoe.domain.errors import Invalid

app = typer.Typer(help="Show what the agents did, and judge it again with something else.", no_args_is_help=True)
RunId = Annotated[str, typer.Argument(help="Id of the agents' run (asoe agents runs TICKET).")]


@app.command()
def runs(
    ticket: Annotated[str, typer.Argument(help="Number or id of the ticket.")],
    *,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List the agents' runs over a ticket, newest first; --json exports them with each agent's part."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.cli.ticket import find_ticket
        from asoe.desk import ticket as desk_ticket

        return await desk_ticket.runs(desk, owner, (await find_ticket(desk, owner, ticket)).id)

    found = run(acting(work, org, data_dir))
    if as_json:
        print_json(found)
        return
    rows = [{**each, "plan": " → ".join(each["plan"])} for each in found]
    show(rows, ("id", "entrypoint", "plan", "status", "created_at"), as_json=False, empty="No agent looked at it yet.")


@app.command("show")
def show_run(run_id: RunId, *, org: OrgOption = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Show one run as a tree: each agent's part with what it was given and gave back."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import ticket as desk_ticket

        return await desk_ticket.run(desk, owner, identifier(run_id, of="agents' run"))

    found = run(acting(work, org, data_dir))
    if as_json:
        print_json(found)
        return
    out.print(f"{found['entrypoint']}: {' → '.join(found['plan'])} ({found['status']})", markup=False)
    for part in found["invocations"]:
        spent = f", {part['tokens_in'] + part['tokens_out']} tokens" if part["tokens_in"] + part["tokens_out"] else ""
        out.print(
            f"├─ {part['agent']} ({part['engine_type']}{spent}): {part['input']} → {part['output']}", markup=False
        )


@app.command()
def replay(
    run_id: RunId,
    *,
    model: Annotated[
        int | None, typer.Option(min=0, help="With this version of your own models; 0: the shared model alone.")
    ] = None,
    policy: Annotated[Path | None, typer.Option(help="With the settings of this file (YAML) over your own.")] = None,
    language_model: Annotated[
        str | None, typer.Option("--language-model", help="With another model of the provider: PROVIDER:MODEL.")
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option(help="With other instructions: USE=FILE, in which {task} stands for ours; may be repeated."),
    ] = None,
    runbook: Annotated[
        list[str] | None,
        typer.Option(
            help="With this version of a runbook in the place of the one in use: NAME=VERSION; may be repeated."
        ),
    ] = None,
    consult: Annotated[
        bool, typer.Option("--consult", help="Ask the language model, too; it costs what it always does.")
    ] = False,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Judge a run again with something else, from what it was told; do nothing, and show what would be different."""
    prompts = dict(_prompt(each) for each in prompt or ())

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk.journey import replay as again
        from asoe.desk.settings_text import read_settings, read_versions

        settings = None if policy is None else read_settings(read_text(policy), again.SETTINGS)
        versions = read_versions(" ".join(runbook or ()))
        instead = again.Instead(model, settings, language_model, prompts, is_consulted=consult, versions=versions)
        return await again.replay(desk, owner, identifier(run_id, of="agents' run"), instead)

    found = run(acting(work, org, data_dir))
    if as_json:
        print_json(found.to_json())
        return
    if found.since:
        say("Today it would go otherwise than then, whatever is tried:")
        show(_rows(found.since), ("what", "was", "would be"), as_json=False)
    if found.instead is not None:
        say("What is tried makes this difference:" if found.differences else "What is tried makes no difference.")
        show(_rows(found.differences), ("what", "was", "would be"), as_json=False)
    elif not found.since:
        say("It would go the same way today.")


def _prompt(given: str) -> tuple[str, str]:
    use, _, file = given.partition("=")
    if not file:
        raise Invalid(f"--prompt {given}: write USE=FILE, such as answers=brief.txt.", code="bad_replay")
    return use, read_text(Path(file))


def _rows(differences: Any) -> list[dict[str, Any]]:
    return [{"what": each.what, "was": _said(each.before), "would be": _said(each.after)} for each in differences]


def _said(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value or "–")
