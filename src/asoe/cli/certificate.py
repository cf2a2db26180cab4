"""`asoe certificate`: from which chance answers may be sent alone, and the blind sample that keeps that honest. Acts as the owner."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Final

import typer

from asoe.cli.door import DataDir, Json, OrgOption, acting, identifier, out, print_json, run, say, show

app = typer.Typer(
    help="Show and renew certificates of answers, and judge answers of the blind sample.", no_args_is_help=True
)
_COLUMNS: Final = (
    "about",
    "state",
    "threshold",
    "marginal_threshold",
    "cases",
    "errors",
    "accepted",
    "audited",
    "made_at",
)


@app.command("list")
def list_certificates(*, org: OrgOption = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Show by which rule answers are sent alone, what is certified on how many cases, and what was voided, with the reason."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import certificate

        return await certificate.list_certificates(desk, owner)

    _print(run(acting(work, org, data_dir)), as_json=as_json)


@app.command()
def renew(*, org: OrgOption = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Make certificates anew from the answers that were judged; void them first if traffic has changed."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import certificate

        return await certificate.renew(desk, owner)

    _print(run(acting(work, org, data_dir)), as_json=as_json)


@app.command()
def sample(
    *,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 20,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List answers of the random sample that wait for a blind look: question and answer, and nothing of what became of it."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import certificate

        return await certificate.to_audit(desk, owner, limit=limit)

    found = run(acting(work, org, data_dir))
    show(
        found, ("id", "subject", "question", "answer", "articles"), as_json=as_json, empty="No answer waits for a look."
    )


@app.command()
def judge(
    answer_id: Annotated[str, typer.Argument(help="Id of the answer (asoe certificate sample).")],
    *,
    right: Annotated[bool, typer.Option("--right/--wrong", help="Whether it was the right answer.")],
    org: OrgOption = None,
    data_dir: DataDir = None,
) -> None:
    """Say blind whether an answer of the sample was right; the first judgement stays."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import certificate

        await certificate.judge(desk, owner, identifier(answer_id, of="answer"), is_right=right)

    run(acting(work, org, data_dir))
    say("Noted.")


def _print(found: Any, *, as_json: bool) -> None:
    from asoe.domain.certificate import in_words

    rows = [{**asdict(each), "state": each.state, "about": each.category or "all"} for each in found.standing]
    if as_json:
        voided = [{**asdict(each), "state": each.state} for each in found.voided]
        rule = {
            "alone": found.alone,
            "level": found.level,
            "audit_share": found.audit_share,
            "lent_from": found.lent_from,
        }
        print_json({**rule, "items": rows, "voided": voided})
        return
    rules = {
        "lent": f"Answers are sent alone on lent trust, from a chance of {found.lent_from:g}: no certificate is asked for.",
        "certified": f"Answers are sent alone where a certificate allows it (at most {found.level:.0%} wrong), else suggested.",
        "never": "Answers are never sent alone: each is suggested to a person.",
    }
    out.print(rules[found.alone], markup=False)
    show(rows, _COLUMNS, as_json=False, empty="No certificate was made: asoe certificate renew")
    for each in found.voided:
        out.print(
            f"Voided {each.ended_at:%Y-%m-%d}, {each.category or 'all'}: {in_words(each.drift or {})}", markup=False
        )
