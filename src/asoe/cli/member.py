"""`asoe member`: the people of an organization and their roles. Acts as the organization's owner."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from asoe.cli.door import DataDir, Json, OrgOption, acting, opened, owner_url, run, say, show, show_one
from asoe.domain.errors import Missing

app = typer.Typer(help="Add, invite, list and disable members.", no_args_is_help=True)
_Email = Annotated[str, typer.Argument(help="Sign-in address.")]
_Role = Annotated[str, typer.Option(help="owner, admin, agent or client.")]
_COLUMNS = ("email", "name", "role", "created_at", "disabled_at")


@app.command()
def add(
    *,
    email: _Email,
    name: Annotated[str, typer.Option(help="Name for people.")],
    role: _Role = "agent",
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Add a person at once, without an invitation."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import people

        return await people.add_member(desk, owner, email=email, name=name, role=role)

    show_one(run(acting(work, org, data_dir)), as_json=as_json)


@app.command("list")
def list_members(*, org: OrgOption = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """List members with their roles, disabled ones too."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import people

        found = await people.list_members(desk, owner, limit=1000)
        return [member for member in found if member.kind == "person"]

    show(run(acting(work, org, data_dir)), _COLUMNS, as_json=as_json)


@app.command()
def role(
    *,
    email: _Email,
    new_role: Annotated[str, typer.Argument(metavar="ROLE", help="owner, admin, agent or client.")],
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Give a member another role."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import people

        return await people.change_role(desk, owner, (await find_member(desk, owner, email)).user_id, new_role)

    show_one(run(acting(work, org, data_dir)), as_json=as_json)


@app.command()
def disable(email: _Email, org: OrgOption = None, data_dir: DataDir = None) -> None:
    """Shut a member out at once; what it wrote stays."""
    run(acting(_set_disabled(email, disabled=True), org, data_dir))
    say(f"{email} is disabled.")


@app.command()
def enable(email: _Email, org: OrgOption = None, data_dir: DataDir = None) -> None:
    """Let a disabled member in again."""
    run(acting(_set_disabled(email, disabled=False), org, data_dir))
    say(f"{email} is enabled.")


@app.command()
def invite(
    *,
    email: _Email,
    role: _Role = "agent",
    days: Annotated[int, typer.Option(min=1, max=30, help="How long the invitation lasts.")] = 7,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Make an invitation; its token is shown once; its holder opens /invitations/TOKEN in the dashboard."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import people

        made = await people.invite(desk, owner, email=email, role=role, days=days)
        return {"email": email, "role": role, "expires_at": made.invitation.expires_at, "token": made.token}

    show_one(run(acting(work, org, data_dir)), as_json=as_json)


@app.command()
def password(
    *,
    email: _Email,
    from_stdin: Annotated[bool, typer.Option("--stdin", help="Read the password from standard input.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Give a person a password for the dashboard and end its sign-ins. Needs the owner's connection."""
    given = sys.stdin.readline().rstrip("\n") if from_stdin else typer.prompt("Password", hide_input=True, err=True)

    async def work() -> None:
        from asoe.desk import sign_in
        from asoe.store import sign_ins

        hashed = await sign_in.hash_password(given)
        async with opened(data_dir) as opened_app:
            await sign_ins.set_password(owner_url(opened_app), email, hashed)

    run(work())
    say(f"{email} can sign in with this password.")


def _set_disabled(email: str, *, disabled: bool) -> Any:
    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import people

        change = people.disable_member if disabled else people.enable_member
        return await change(desk, owner, (await find_member(desk, owner, email)).user_id)

    return work


async def find_member(desk: Any, owner: Any, email: str) -> Any:
    """The member under this sign-in address; raises `Missing(no_member)`."""
    from asoe.store import organizations

    async with desk.database.org_reading(owner) as connection:
        found = await organizations.find_member_by_email(connection, owner.org_id, email)
    if found is None:
        raise Missing(f"{email} is no member. asoe member list shows who is.", code="no_member")
    return found
