"""`asoe org`: organizations, which only the owner's connection makes, suspends and deletes."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import typer

from asoe.cli.door import DataDir, Json, Yes, opened, owner_url, run, say, show, show_one, sure

app = typer.Typer(help="Make, list, suspend and delete organizations.", no_args_is_help=True)
_Slug = Annotated[str, typer.Argument(help="Slug or id of the organization.")]


@app.command()
def create(
    *,
    slug: Annotated[str, typer.Argument(help="Short name in addresses: small letters, digits, hyphens.")],
    name: Annotated[str, typer.Option(help="Name for people.")],
    owner_email: Annotated[str, typer.Option(help="Sign-in address of the first owner.")],
    owner_name: Annotated[str, typer.Option(help="Name of the first owner.")] = "Owner",
    adopt: Annotated[UUID | None, typer.Option(help="Id of an organization that was there before ASOE.")] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Make an organization with its first owner and a first key (admin), which is shown once."""
    made = run(_create(slug, name, owner_email, owner_name, adopt=adopt, data_dir=data_dir))
    show_one(made, as_json=as_json)
    if not as_json:
        say("The key is shown this once. Next: asoe knowledge import FOLDER, then asoe serve.")


@app.command("list")
def list_organizations(*, data_dir: DataDir = None, as_json: Json = False) -> None:
    """List all organizations, suspended ones too."""
    columns = ("slug", "name", "org_id", "members", "created_at", "suspended_at")
    show(run(_list(data_dir)), columns, as_json=as_json, empty="There is no organization yet: asoe org create --help")


@app.command()
def suspend(slug: _Slug, data_dir: DataDir = None) -> None:
    """Shut an organization's doors: keys and sign-ins fail, journeys rest, data stays."""
    run(_suspend(slug, data_dir, suspended=True))
    say(f"{slug} is suspended. asoe org resume {slug} opens it again.")


@app.command()
def resume(slug: _Slug, data_dir: DataDir = None) -> None:
    """Open a suspended organization again."""
    run(_suspend(slug, data_dir, suspended=False))
    say(f"{slug} is open again.")


@app.command()
def delete(*, slug: _Slug, yes: Yes = False, data_dir: DataDir = None) -> None:
    """Delete an organization with its tickets, messages, articles and keys, for good. Back up first."""
    sure(f"Delete {slug} with everything it has, for good?", yes=yes)
    run(_delete(slug, data_dir))
    say(f"{slug} is deleted.")


async def _create(slug: str, name: str, email: str, owner_name: str, *, adopt: UUID | None, data_dir: Any) -> Any:
    from asoe.desk import people
    from asoe.store import organizations

    async with opened(data_dir, may_make=True) as opened_app:
        made = await organizations.create_organization(
            owner_url(opened_app), name, slug, email, owner_name, wanted_id=adopt
        )
        key = await people.create_key(opened_app.desk, made.owner, name="first key", role="admin")
        return {"org_id": made.org_id, "slug": slug, "name": name, "owner_email": email, "admin_key": key.token}


async def _list(data_dir: Any) -> Any:
    from asoe.store import installation

    async with opened(data_dir) as opened_app:
        return await installation.all_organizations(owner_url(opened_app))


async def _suspend(slug: str, data_dir: Any, *, suspended: bool) -> None:
    from asoe.store import organizations

    async with opened(data_dir) as opened_app:
        found = await organizations.find_organization(owner_url(opened_app), slug)
        await organizations.suspend_organization(owner_url(opened_app), found.org_id, suspended=suspended)


async def _delete(slug: str, data_dir: Any) -> None:
    from asoe.store import organizations

    async with opened(data_dir) as opened_app:
        found = await organizations.find_organization(owner_url(opened_app), slug)
        await organizations.delete_organization(owner_url(opened_app), found.org_id)
