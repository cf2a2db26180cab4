"""`asoe key`: API keys of an organization. Acts as the organization's owner."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from asoe.cli.door import DataDir, Json, OrgOption, acting, identifier, run, say, show, show_one
from asoe.domain.errors import Missing

app = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)


@app.command()
def create(
    *,
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    role: Annotated[str, typer.Option(help="owner, admin, agent or client.")] = "agent",
    scope: Annotated[list[str] | None, typer.Option(help="Narrow the key (tickets:read, …); may be repeated.")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Days until it ends; without: until revoked.")] = None,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Make a key. Its token is shown this once."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import people

        expires = datetime.now(UTC) + timedelta(days=days) if days else None
        made = await people.create_key(desk, owner, name=name, role=role, scopes=scope or (), expires_at=expires)
        return {
            "id": made.key.id,
            "name": name,
            "role": role,
            "scopes": made.key.scopes,
            "expires_at": expires,
            "token": made.token,
        }

    show_one(run(acting(work, org, data_dir)), as_json=as_json)


@app.command("list")
def list_keys(*, org: OrgOption = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """List keys with their last use, revoked ones too; secrets are stored nowhere."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import people

        return await people.list_keys(desk, owner, limit=1000)

    columns = ("prefix", "name", "role", "scopes", "last_used_at", "expires_at", "revoked_at", "id")
    show(run(acting(work, org, data_dir)), columns, as_json=as_json)


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="Id or prefix of the key.")],
    org: OrgOption = None,
    data_dir: DataDir = None,
) -> None:
    """End a key for good, at once."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import people

        wanted = key.removeprefix("asoe_").split("_")[0]
        for found in await people.list_keys(desk, owner, limit=1000):
            if found.prefix == wanted:
                return await people.revoke_key(desk, owner, found.id)
        if "-" not in key:
            raise Missing(f"There is no key with prefix {wanted}. asoe key list shows them.", code="no_key")
        return await people.revoke_key(desk, owner, identifier(key, of="key"))

    run(acting(work, org, data_dir))
    say("The key is revoked.")
