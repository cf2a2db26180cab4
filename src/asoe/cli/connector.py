"""`asoe connector`: outside systems of an organization. Acts as the organization's owner; secrets never stand in the command."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from asoe.cli.door import DataDir, Json, OrgOption, Yes, acting, run, say, show, show_one, sure
from asoe.domain.errors import FieldProblem, Invalid

app = typer.Typer(help="Add, change, check and remove connectors to outside systems.", no_args_is_help=True)
_Connector = Annotated[str, typer.Argument(help="Name of the connector (asoe connector list).")]
_ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="File with the configuration (YAML or JSON; docs/connectors.md).")
]
_Set = Annotated[
    list[str] | None, typer.Option("--set", help="key=value of the configuration, value as YAML; may be repeated.")
]
_SecretEnv = Annotated[
    list[str] | None,
    typer.Option("--secret-env", help="name=VARIABLE: a secret out of an environment variable; may be repeated."),
]
_SecretStdin = Annotated[
    str | None, typer.Option("--secret-stdin", help="Name of the secret that is read from standard input.")
]
_OpenApi = Annotated[
    Path | None, typer.Option("--openapi", help="File with the system's OpenAPI document (kind http).")
]


@app.command()
def add(
    *,
    name: Annotated[str, typer.Argument(help="What runbooks call it: small letters, digits, _ and -.")],
    kind: Annotated[str, typer.Option(help="http, mcp, … (docs/connectors.md).")] = "http",
    config: _ConfigFile = None,
    openapi: _OpenApi = None,
    settings: _Set = None,
    secret_env: _SecretEnv = None,
    secret_stdin: _SecretStdin = None,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="It may reach addresses of this machine and of private networks.")
    ] = False,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Add a connector; its configuration is checked whole before it is stored."""
    given = _config(config, openapi, settings)
    secrets = secrets_given(secret_env, secret_stdin)

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import connector_settings

        added = await connector_settings.add_connector(
            desk,
            owner,
            name=name,
            kind=kind,
            config=given,
            secrets=secrets,
            allow_private=allow_private,
            may_be_private=True,
        )
        return _shown(added)

    show_one(run(acting(work, org, data_dir)), as_json=as_json)


@app.command()
def change(
    *,
    connector: _Connector,
    config: _ConfigFile = None,
    openapi: _OpenApi = None,
    settings: _Set = None,
    secret_env: _SecretEnv = None,
    secret_stdin: _SecretStdin = None,
    review: Annotated[
        list[str] | None, typer.Option("--review", help="A tool of an MCP server, reviewed as it is now; repeatable.")
    ] = None,
    allow_private: Annotated[
        bool | None,
        typer.Option(
            "--allow-private/--no-allow-private", help="Whether it may reach private addresses; else as it was."
        ),
    ] = None,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Merge configuration and secrets key by key (a value of null removes the key)."""
    given = _config(config, openapi, settings)
    if review:
        given["review"] = review
    secrets = secrets_given(secret_env, secret_stdin)

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import connector_settings

        changed = await connector_settings.change_connector(
            desk,
            owner,
            connector,
            config=given or None,
            secrets=secrets or None,
            allow_private=allow_private,
            may_be_private=True,
        )
        return _shown(changed)

    show_one(run(acting(work, org, data_dir)), as_json=as_json)


@app.command("list")
def list_connectors(*, org: OrgOption = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """List connectors by name."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import connector_settings

        return [_shown(each) for each in await connector_settings.list_connectors(desk, owner)]

    columns = ("name", "kind", "allow_private", "has_secrets", "disabled_at", "disabled_why", "updated_at")
    show(run(acting(work, org, data_dir)), columns, as_json=as_json, empty="None. Add one: asoe connector add NAME")


@app.command("show")
def show_connector(
    *, connector: _Connector, org: OrgOption = None, data_dir: DataDir = None, as_json: Json = False
) -> None:
    """Show a connector, which secrets are set (never their values), and what runbooks may call."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import connector_settings

        record = await connector_settings.read_connector(desk, owner, connector)
        shown = {**_shown(record), "secrets": await connector_settings.secret_names(desk, owner, connector)}
        if record.disabled_at is None:
            offered = await connector_settings.read_actions(desk, owner, connector)
            shown["actions"] = {name: one.risk for name, one in offered.actions.items()}
            shown["unclassified"] = dict(offered.unclassified)
        return shown

    show_one(run(acting(work, org, data_dir)), as_json=as_json)


@app.command()
def check(*, connector: _Connector, org: OrgOption = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Ask the system whether it answers and lets us in; changes nothing there. Exit code 1 when it does not."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import connector_settings

        return await connector_settings.check_connector(desk, owner, connector)

    health = run(acting(work, org, data_dir))
    show_one(health, as_json=as_json)
    if not health.is_up:
        raise typer.Exit(1)


@app.command()
def disable(
    *,
    connector: _Connector,
    why: Annotated[str, typer.Option("--why", help="The reason, as people will read it.")],
    org: OrgOption = None,
    data_dir: DataDir = None,
) -> None:
    """Make no further call through a connector; runs that need it are given to a person."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import connector_settings

        return await connector_settings.disable_connector(desk, owner, connector, why=why)

    run(acting(work, org, data_dir))
    say(f"{connector} is disabled.")


@app.command()
def enable(*, connector: _Connector, org: OrgOption = None, data_dir: DataDir = None) -> None:
    """Let calls through a disabled connector again."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import connector_settings

        return await connector_settings.enable_connector(desk, owner, connector)

    run(acting(work, org, data_dir))
    say(f"{connector} is enabled.")


@app.command()
def remove(*, connector: _Connector, yes: Yes = False, org: OrgOption = None, data_dir: DataDir = None) -> None:
    """Delete a connector with its secrets; what was done through it stays in the runs."""
    sure(f"Delete the connector {connector} with its secrets?", yes=yes)

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import connector_settings

        return await connector_settings.remove_connector(desk, owner, connector)

    run(acting(work, org, data_dir))
    say(f"{connector} is removed.")


def _config(config: Path | None, openapi: Path | None, settings: list[str] | None) -> dict[str, Any]:
    given: Any = {} if config is None else _parsed(_text(config), f"--config {config}")
    if not isinstance(given, dict):
        raise _wrong("--config", "must hold a mapping of settings")
    for each in settings or ():
        key, is_there, value = each.partition("=")
        if not is_there:
            raise _wrong("--set", f"{each!r} is no key=value")
        given[key] = _parsed(value, f"--set {key}")
    if openapi is not None:
        from asoe.connectors.openapi import read_document

        try:
            given["openapi"] = read_document(_text(openapi).encode())
        except ValueError as error:
            raise _wrong("--openapi", str(error)) from None
    return json.loads(json.dumps(given, default=str))  # type: ignore[no-any-return]


def secrets_given(from_environment: list[str] | None, from_stdin: str | None) -> dict[str, str]:
    """Secrets by name; a command line is seen by everybody on the machine, and kept in the shell's history."""
    found: dict[str, str] = {}
    for each in from_environment or ():
        name, _, variable = each.partition("=")
        if not variable or variable not in os.environ:
            raise _wrong(
                "--secret-env", f"write name=VARIABLE with a variable that is set; {variable or name!r} is not"
            )
        found[name] = os.environ[variable]
    if from_stdin is not None:
        if sys.stdin.isatty():
            found[from_stdin] = typer.prompt(from_stdin, hide_input=True, err=True)
        else:
            found[from_stdin] = sys.stdin.read().strip()
    return found


def _shown(record: Any) -> dict[str, Any]:
    from asoe.desk.connector_settings import shown

    return shown(record)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise _wrong(str(path), "there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong(str(path), f"cannot be read: {error}") from None


def _parsed(text: str, where: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise _wrong(where, "is neither YAML nor JSON") from None


def _wrong(where: str, words: str) -> Invalid:
    return Invalid(f"{where}: {words}.", code="bad_connector", fields=(FieldProblem(where, words),))
