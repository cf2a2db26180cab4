"""`asoe webhook`, `asoe delivery`, `asoe mailbox`: what is sent outside, how it went, and the servers mails go through."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from asoe.cli.connector import secrets_given
from asoe.cli.door import DataDir, Json, OrgOption, Yes, acting, identifier, run, say, show, show_one, sure
from asoe.domain.errors import FieldProblem, Invalid

webhook_app = typer.Typer(help="Add, change, test and remove webhooks.", no_args_is_help=True)
delivery_app = typer.Typer(help="What was sent, what was given up, and sending it again.", no_args_is_help=True)
mailbox_app = typer.Typer(help="The address the organization writes from, and its mail servers.", no_args_is_help=True)

_Id = Annotated[str, typer.Argument(help="Id of the webhook (asoe webhook list).")]
_Events = Annotated[
    list[str] | None, typer.Option("--event", help="ticket.escalated, ticket.*, or * for all; may be repeated.")
]
_SecretEnv = Annotated[
    list[str] | None,
    typer.Option("--secret-env", help="name=VARIABLE: a secret out of an environment variable; may be repeated."),
]
_SecretStdin = Annotated[
    str | None, typer.Option("--secret-stdin", help="Name of the secret read from standard input.")
]
_Private = Annotated[
    bool, typer.Option("--allow-private", help="It may reach addresses of this machine and of private networks.")
]
_WEBHOOK_COLUMNS = ("id", "name", "kind", "place", "events", "allow_private", "disabled_at", "disabled_why")


def add_to(root: typer.Typer) -> None:
    root.add_typer(webhook_app, name="webhook")
    root.add_typer(delivery_app, name="delivery")
    root.add_typer(mailbox_app, name="mailbox")


@webhook_app.command("add")
def add_webhook(
    *,
    name: Annotated[str, typer.Argument(help="What people call it.")],
    event: _Events = None,
    slack: Annotated[
        bool, typer.Option("--slack", help="A Slack-compatible incoming webhook, without signature.")
    ] = False,
    secret_env: _SecretEnv = None,
    secret_stdin: _SecretStdin = None,
    allow_private: _Private = False,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Add a webhook. Its address is a secret named url; the signing secret is printed this once."""
    given = secrets_given(secret_env, secret_stdin or (None if secret_env else "url"))

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import webhook

        made = await webhook.add_webhook(
            desk,
            owner,
            name=name,
            url=given.get("url", ""),
            events=event or ["*"],
            kind="slack" if slack else "signed",
            allow_private=allow_private,
            may_be_private=True,
        )
        return _with_secret(made)

    show_one(run(acting(work, org, data_dir)), as_json=as_json)


@webhook_app.command("list")
def list_webhooks(*, org: OrgOption = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """List webhooks by name; addresses are shown as far as they are no secret."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import webhook

        return await webhook.list_webhooks(desk, owner)

    show(
        run(acting(work, org, data_dir)),
        _WEBHOOK_COLUMNS,
        as_json=as_json,
        empty="None. Add one: asoe webhook add NAME",
    )


@webhook_app.command("change")
def change_webhook(
    *,
    webhook: _Id,
    event: _Events = None,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="A new secret; the old one signs beside it for a day.")
    ] = False,
    secret_env: _SecretEnv = None,
    secret_stdin: _SecretStdin = None,
    allow_private: Annotated[
        bool | None, typer.Option("--allow-private/--no-allow-private", help="Whether it may reach private addresses.")
    ] = None,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Change what a webhook hears, its address (a secret named url) or its signing secret."""
    given = secrets_given(secret_env, secret_stdin)

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import webhook as webhooks

        changed = await webhooks.change_webhook(
            desk,
            owner,
            identifier(webhook, of="webhook"),
            url=given.get("url"),
            events=event or None,
            allow_private=allow_private,
            may_be_private=True,
            rotates=rotate,
        )
        return _with_secret(changed)

    show_one(run(acting(work, org, data_dir)), as_json=as_json)


@webhook_app.command("test")
def send_test(*, webhook: _Id, org: OrgOption = None, data_dir: DataDir = None) -> None:
    """Have the fact webhook.tested sent to it by the worker."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import webhook as webhooks

        await webhooks.send_test(desk, owner, identifier(webhook, of="webhook"))

    run(acting(work, org, data_dir))
    say("It is on its way; see asoe delivery list --channel webhook.")


@webhook_app.command("disable")
def disable_webhook(
    *,
    webhook: _Id,
    why: Annotated[str, typer.Option("--why", help="The reason, as people will read it.")] = "",
    org: OrgOption = None,
    data_dir: DataDir = None,
) -> None:
    """Send nothing to a webhook any more."""
    _set_disabled(webhook, why, org=org, data_dir=data_dir)
    say("It is disabled.")


@webhook_app.command("enable")
def enable_webhook(*, webhook: _Id, org: OrgOption = None, data_dir: DataDir = None) -> None:
    """Send to a disabled webhook again, from now on."""
    _set_disabled(webhook, None, org=org, data_dir=data_dir)
    say("It is enabled.")


@webhook_app.command("remove")
def remove_webhook(*, webhook: _Id, yes: Yes = False, org: OrgOption = None, data_dir: DataDir = None) -> None:
    """Delete a webhook with its secrets."""
    sure("Delete the webhook with its secrets?", yes=yes)

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import webhook as webhooks

        await webhooks.remove_webhook(desk, owner, identifier(webhook, of="webhook"))

    run(acting(work, org, data_dir))
    say("It is removed.")


@delivery_app.command("list")
def list_deliveries(
    *,
    status: Annotated[str | None, typer.Option(help="pending, sending, delivered or dead.")] = None,
    channel: Annotated[str | None, typer.Option(help="email, webhook or in_app.")] = None,
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=1000)] = 50,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List deliveries, newest first."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import delivery

        return await delivery.list_deliveries(desk, owner, status=status, channel=channel, limit=limit)

    columns = ("id", "kind", "channel", "recipient", "status", "attempts", "due_at", "trouble")
    show(run(acting(work, org, data_dir)), columns, as_json=as_json)


@delivery_app.command("replay")
def replay(
    *,
    delivery: Annotated[str | None, typer.Argument(help="Id of the delivery; with --dead none.")] = None,
    dead: Annotated[bool, typer.Option("--dead", help="All that were given up.")] = False,
    org: OrgOption = None,
    data_dir: DataDir = None,
) -> None:
    """Send deliveries again, under the ids they had."""
    if dead == (delivery is not None):
        raise Invalid(
            "Name one delivery, or give --dead for all that were given up.",
            code="which_delivery",
            fields=(FieldProblem("delivery", "name one, or give --dead"),),
        )

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import delivery as deliveries

        return await deliveries.replay(desk, owner, identifier(delivery, of="delivery") if delivery else None)

    say(f"{run(acting(work, org, data_dir))} will be sent again.")


@mailbox_app.command("set")
def set_mailbox(
    *,
    address: Annotated[str, typer.Argument(help="The address mails are sent from, and answered to.")],
    name: Annotated[str, typer.Option(help="The name beside it; by default the organization's.")] = "",
    smtp: Annotated[str | None, typer.Option(help="Server that sends: host or host:port.")] = None,
    smtp_tls: Annotated[str, typer.Option(help="tls, starttls, or none (only with --allow-private).")] = "tls",
    smtp_user: Annotated[str, typer.Option(help="Its user; empty: none is asked for.")] = "",
    imap: Annotated[str | None, typer.Option(help="Server that is fetched from: host or host:port.")] = None,
    imap_tls: Annotated[str, typer.Option(help="tls, starttls, or none (only with --allow-private).")] = "tls",
    imap_user: Annotated[str, typer.Option(help="Its user.")] = "",
    authority: Annotated[
        str,
        typer.Option(
            help="Name by which the receiving server signs Authentication-Results; empty: no sender is verified."
        ),
    ] = "",
    plus_addresses: Annotated[
        bool,
        typer.Option("--plus-addresses", help="Mails to address+anything arrive here too: replies go to such ones."),
    ] = False,
    secret_env: _SecretEnv = None,
    secret_stdin: _SecretStdin = None,
    allow_private: _Private = False,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Set the mailbox whole. The passwords are secrets named smtp and imap; one left out stays as it was."""
    passwords: dict[str, str | None] = {**secrets_given(secret_env, secret_stdin)}
    servers = {
        each: {**_host_and_port(place, f"--{each}"), "tls": tls, "user": user}
        for each, place, tls, user in (("smtp", smtp, smtp_tls, smtp_user), ("imap", imap, imap_tls, imap_user))
        if place
    }

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import mailbox

        box = await mailbox.set_mailbox(
            desk,
            owner,
            address=address,
            name=name,
            servers=servers,
            passwords=passwords,
            authority=authority,
            uses_plus=plus_addresses,
            allow_private=allow_private,
            may_be_private=True,
        )
        return mailbox.shown(box)

    _show_mailbox(run(acting(work, org, data_dir)), as_json=as_json)


@mailbox_app.command("show")
def show_mailbox(*, org: OrgOption = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Show the mailbox, never its passwords."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import mailbox

        return mailbox.shown(await mailbox.read_mailbox(desk, owner))

    _show_mailbox(run(acting(work, org, data_dir)), as_json=as_json)


@mailbox_app.command("check")
def check_mailbox(*, org: OrgOption = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Ask its servers whether they let us in; nothing is sent. Exit code 1 when one does not."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import mailbox

        return await mailbox.check_mailbox(desk, owner)

    checked = run(acting(work, org, data_dir))
    show_one({name: found.detail for name, found in checked.found.items()}, as_json=as_json)
    if not checked.is_up:
        raise typer.Exit(1)


@mailbox_app.command("receive")
def receive(
    *,
    file: Annotated[
        Path | None, typer.Argument(help="File with one mail (RFC 5322); standard input when left out.")
    ] = None,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Take one mail in, as a mail server's pipe would hand it over."""
    raw = sys.stdin.buffer.read() if file is None else file.read_bytes()

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import mail_intake

        return await mail_intake.receive(desk, owner.org_id, raw)

    show_one(run(acting(work, org, data_dir)), as_json=as_json)


@mailbox_app.command("fetch")
def fetch(*, org: OrgOption = None, data_dir: DataDir = None) -> None:
    """Fetch what is new now; the worker does so every half minute."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import mail_intake, mailbox

        engine = await desk.engine_of(owner.org_id)
        return await mail_intake.fetch(desk, engine, await mailbox.read_mailbox(desk, owner))

    came = run(acting(work, org, data_dir))
    say(f"{came} {'mail was' if came == 1 else 'mails were'} new.")


@mailbox_app.command("remove")
def remove_mailbox(*, yes: Yes = False, org: OrgOption = None, data_dir: DataDir = None) -> None:
    """Delete the mailbox with its passwords; nothing is sent or fetched any more."""
    sure("Delete the mailbox with its passwords?", yes=yes)

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import mailbox

        await mailbox.remove_mailbox(desk, owner)

    run(acting(work, org, data_dir))
    say("It is removed.")


def _set_disabled(webhook: str, why: str | None, *, org: str | None, data_dir: Any) -> None:
    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import webhook as webhooks

        await webhooks.set_disabled(desk, owner, identifier(webhook, of="webhook"), why=why)

    run(acting(work, org, data_dir))


def _with_secret(made: Any) -> dict[str, Any]:
    shown = {name: getattr(made.webhook, name) for name in _WEBHOOK_COLUMNS}
    return {**shown, **({"secret": made.secret} if made.secret else {})}


def _host_and_port(text: str, option: str) -> dict[str, Any]:
    host, is_there, port = text.rpartition(":")
    if not is_there:
        return {"host": text}
    if not (port.isascii() and port.isdigit()):
        raise Invalid(
            f"{option}: write host or host:port.",
            code="bad_mailbox",
            fields=(FieldProblem(option, "write host or host:port"),),
        )
    return {"host": host, "port": int(port[:6])}


def _show_mailbox(found: dict[str, Any], *, as_json: bool) -> None:
    servers = {} if as_json else {each: _in_a_line(found[each]) for each in ("smtp", "imap")}
    show_one({**found, **servers}, as_json=as_json)


def _in_a_line(server: dict[str, Any] | None) -> str | None:
    if server is None:
        return None
    user = f", as {server['user']}" if server.get("user") else ""
    return f"{server['host']}:{server['port']}, {'without TLS' if server['tls'] == 'none' else server['tls']}{user}"
