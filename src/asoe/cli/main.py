"""`asoe`: puts the commands together, and turns errors into words and exit codes (see asoe.domain.errors)."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from asoe.cli import (
    agents,
    alert,
    approval,
    audit,
    backup,
    canned_reply,
    certificate,
    connector,
    demo,
    doctor,
    exchange,
    incident,
    intent,
    key,
    knowledge,
    language_model,
    learning,
    member,
    migrate,
    notification,
    org,
    preference,
    recommend,
    replay,
    report,
    routing,
    runbook,
    runbook_runs,
    runbook_shelf,
    serve,
    service_level,
    ticket,
    topic,
    triage,
    version,
    widget,
    wish,
)
from asoe.cli.door import explain
from asoe.domain.errors import AsoeError

HELP = """ASOE resolves what it can prove, and hands the rest to a person with the work half done.

Start with `asoe demo`. An own installation: `asoe org create`, `asoe key create`, `asoe knowledge import`, `asoe serve`.
Every command has --help. Settings are environment variables (docs/operations/settings.md).

Exit codes: 0 done · 1 the check it makes did not pass, or anything else · 2 wrong input · 3 not allowed · 4 no such thing ·
5 conflict: read again, then decide · 6 not available now.
"""

app = typer.Typer(
    name="asoe", help=HELP, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="markdown"
)
for room in (serve, demo, migrate, triage, replay, exchange, backup, doctor, version):
    room.add_to(app)
app.add_typer(org.app, name="org")
app.add_typer(member.app, name="member")
app.add_typer(key.app, name="key")
app.add_typer(ticket.app, name="ticket")
app.add_typer(agents.app, name="agents")
app.add_typer(connector.app, name="connector")
app.add_typer(service_level.app, name="service-level")
app.add_typer(routing.app, name="routing")
app.add_typer(canned_reply.app, name="canned-reply")
app.add_typer(preference.app, name="preference")
app.add_typer(incident.app, name="incident")
app.add_typer(intent.app, name="intent")
app.add_typer(alert.app, name="alert")
app.add_typer(knowledge.app, name="knowledge")
approval.add_to(app)
language_model.add_to(app)
learning.add_to(app)
notification.add_to(app)
runbook_shelf.add_to(runbook.app)
runbook_runs.add_to(runbook.app)
app.add_typer(runbook.app, name="runbook")
app.add_typer(widget.app, name="widget")
app.add_typer(wish.app, name="wish")
app.add_typer(recommend.app, name="recommend")
app.add_typer(certificate.app, name="certificate")
app.add_typer(report.app, name="report")
app.add_typer(topic.app, name="topics")
app.add_typer(audit.app, name="audit")


@app.callback()
def _root(
    *,
    show: Annotated[bool, typer.Option("--version", help="Print the version and end.", is_eager=True)] = False,
) -> None:
    if show:
        version.version(as_json=False)
        raise typer.Exit


def main() -> None:
    """The entry point."""
    try:
        app()
    except AsoeError as error:
        sys.exit(explain(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


if __name__ == "__main__":
    main()
