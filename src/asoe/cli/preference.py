"""`asoe preference`: what a person of the team is told, by which channels, in which hours, and collected to which times."""

from __future__ import annotations

from dataclasses import replace
from datetime import time
from typing import Annotated, Any, Final

import typer

from asoe.cli.door import DataDir, Json, OrgOption, acting, run, show_one
from asoe.domain.errors import FieldProblem, Invalid

app = typer.Typer(help="What people are told, in which hours, and digests. Acts as the owner.", no_args_is_help=True)
_Member = Annotated[
    str | None, typer.Option("--member", help="Sign-in address of the person; by default the owner's own preferences.")
]
_NONE: Final = "none"


@app.command("show")
def show_preferences(
    *, member: _Member = None, org: OrgOption = None, data_dir: DataDir = None, as_json: Json = False
) -> None:
    """Show where a person hears of what, its quiet hours and its digests."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import notification

        return await notification.read_preferences(desk, owner, of=await _id_of(desk, owner, member))

    show_one(_shown(run(acting(work, org, data_dir))), as_json=as_json)


@app.command("set")
def set_preferences(
    *,
    member: _Member = None,
    digest: Annotated[
        list[str] | None,
        typer.Option(
            "--digest",
            help="A time such as 09:00 at which mails that can wait go out as one; none: at once. May be repeated.",
        ),
    ] = None,
    quiet: Annotated[
        str | None, typer.Option("--quiet", help="Hours without mails, such as 22:00-07:00; none: there are none.")
    ] = None,
    zone: Annotated[str | None, typer.Option("--zone", help="Time zone of both, such as Europe/Berlin.")] = None,
    urgent: Annotated[
        bool | None, typer.Option("--urgent/--no-urgent", help="Whether urgent news may come in quiet hours.")
    ] = None,
    briefing: Annotated[
        str | None, typer.Option("--briefing", help="How often the figures come by mail: off, daily or weekly.")
    ] = None,
    tell: Annotated[
        list[str] | None,
        typer.Option(
            "--tell", help="FACT=CHANNELS: message.added=in_app,email, or message.added=none. May be repeated."
        ),
    ] = None,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Change what is named and leave the rest. What the owner changes for another person is a fact that says so."""
    changes: dict[str, Any] = {}
    if digest is not None:
        changes["digests"] = tuple(sorted({_time(each, "--digest") for each in digest if each != _NONE}))
    if quiet is not None:
        begin, is_there, end = quiet.partition("-")
        if quiet != _NONE and not is_there:
            raise _wrong("--quiet", "write two times such as 22:00-07:00, or none")
        hours = (None, None) if quiet == _NONE else (_time(begin, "--quiet"), _time(end, "--quiet"))
        changes |= {"quiet_from": hours[0], "quiet_until": hours[1]}
    if zone is not None:
        changes["zone"] = zone
    if urgent is not None:
        changes["is_urgent_always"] = urgent
    if briefing is not None:
        changes["briefing"] = briefing
    choices = dict(map(_choice, tell or ()))

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import notification

        of = await _id_of(desk, owner, member)
        before = await notification.read_preferences(desk, owner, of=of)
        wanted = replace(before, **changes, choices={**before.choices, **choices})
        return await notification.change_preferences(desk, owner, wanted, of=of)

    show_one(_shown(run(acting(work, org, data_dir))), as_json=as_json)


async def _id_of(desk: Any, owner: Any, member: str | None) -> Any:
    from asoe.cli.member import find_member

    return None if member is None else (await find_member(desk, owner, member)).user_id


def _shown(found: Any) -> dict[str, Any]:
    from asoe.domain.notification import NOTICES

    hours = found.quiet_from and f"{found.quiet_from:%H:%M}-{found.quiet_until:%H:%M}"
    return {
        "digests": [f"{each:%H:%M}" for each in found.digests],
        "quiet_hours": hours,
        "zone": found.zone,
        "urgent_always": found.is_urgent_always,
        "briefing": found.briefing,
        **{kind: list(found.channels(kind)) for kind in NOTICES},
    }


def _choice(text: str) -> tuple[str, tuple[str, ...]]:
    kind, is_there, channels = text.partition("=")
    if not is_there:
        raise _wrong("--tell", "write FACT=CHANNELS such as message.added=in_app,email")
    return kind.strip(), tuple(each.strip() for each in channels.split(",") if each.strip() not in {"", _NONE})


def _time(text: str, option: str) -> time:
    try:
        return time.fromisoformat(text.strip()).replace(tzinfo=None)
    except ValueError:
        raise _wrong(option, f"{text!r} is no time such as 09:00") from None


def _wrong(option: str, problem: str) -> Invalid:
    return Invalid(f"{option}: {problem}.", code="bad_preferences", fields=(FieldProblem(option, problem),))
