"""`asoe widget`: the client's chat widget of an organization. Acts as the organization's owner."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from asoe.cli.door import DataDir, Json, OrgOption, acting, run, say, show_one
from asoe.domain.errors import Invalid

app = typer.Typer(
    help="Set up the client's chat widget, and make the secret that signs its clients.", no_args_is_help=True
)
_Switch = Annotated[bool | None, typer.Option("--on/--off", help="Whether clients can use it; else as it was.")]


@app.command("show")
def show_widget(*, org: OrgOption = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Show how the widget is set; the secret itself is never shown again."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import widget
        from asoe.domain.widget import shown

        return shown(await widget.read_widget(desk, owner))

    show_one(run(acting(work, org, data_dir)), as_json=as_json)


@app.command("set")
def set_widget(
    *,
    is_on: _Switch = None,
    anonymous: Annotated[
        bool | None,
        typer.Option("--anonymous/--signed-only", help="Whether visitors may write whom nobody has signed."),
    ] = None,
    help_page: Annotated[
        bool | None,
        typer.Option("--help-page/--no-help-page", help="Whether articles for clients are public at /help/SLUG."),
    ] = None,
    origin: Annotated[
        list[str] | None,
        typer.Option("--origin", help="An origin whose pages may show it; repeatable, in place of all before."),
    ] = None,
    theme: Annotated[str | None, typer.Option(help="auto, light or dark.")] = None,
    accent: Annotated[str | None, typer.Option(help="Color of buttons, like #3a5bc7.")] = None,
    greeting: Annotated[
        list[str] | None,
        typer.Option("--greeting", help="language=text, like en=Hello; repeatable, in place of all before."),
    ] = None,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Change what is given; the rest stays."""
    greetings = None if greeting is None else dict(map(_pair, greeting))

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import widget
        from asoe.domain.widget import shown

        change = widget.WidgetChange(is_on, anonymous, help_page, origin, theme, accent, greetings)
        return shown(await widget.change_widget(desk, owner, change))

    show_one(run(acting(work, org, data_dir)), as_json=as_json)


@app.command()
def secret(
    *,
    ends_earlier: Annotated[
        bool, typer.Option("--ends-earlier", help="The secret before is void at once, not after a day.")
    ] = False,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Make the secret with which your server signs who its clients are; it is shown this once."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import widget

        made = await widget.make_secret(desk, owner, ends_earlier=ends_earlier)
        return {"secret": made.secret, "made_at": made.widget.secret_made_at}

    show_one(run(acting(work, org, data_dir)), as_json=as_json)
    if not as_json:
        say("The secret is shown this once. How to sign with it: docs/widget.md.")


def _pair(text: str) -> tuple[str, str]:
    language, found, said = text.partition("=")
    if not found:
        raise Invalid(f"--greeting {text!r}: write language=text, like en=Hello.", code="bad_widget")
    return language.strip(), said
