"""Outside systems of the organization: how each is doing, a test, new secrets, the shut-down. Secrets go in and never come out."""

from __future__ import annotations

from typing import Any, Final

import yaml
from starlette.responses import Response

from asoe.connectors.contract import Health
from asoe.desk import connector_settings
from asoe.desk.runbook.source import read_source
from asoe.domain.errors import AsoeError, FieldProblem, Invalid, Missing
from asoe.web.door import ADMINS, Pages, Visit
from asoe.web.settings import TABS

pages = Pages()
_ALL: Final = "/settings/connectors"
_ONE: Final = "/settings/connectors/{connector}"
_SECRETS: Final = 3
"""How many secrets one form takes; more are given with a second one."""


@pages.get(_ALL, roles=ADMINS)
async def show_all(visit: Visit) -> Response:
    return await _all(visit)


@pages.post(_ALL, roles=ADMINS)
async def add(visit: Visit) -> Response:
    """What its kind must know of the system is asked for now."""
    name = visit.text("name", most=100).strip()
    try:
        added = await connector_settings.add_connector(
            visit.desk,
            visit.principal,
            name=name,
            kind=visit.text("kind", "http", most=63),
            config=_config(visit),
            secrets=_secrets(visit),
            allow_private=bool(visit.texts("allow_private")),
            may_be_private=visit.site.gate.settings.connector_private,
        )
    except AsoeError as error:
        return await _all(visit, problem=error)
    return visit.back(f"{_ALL}/{added.name}", "Added. Now test whether it answers and lets us in.")


@pages.get(_ONE, roles=ADMINS)
async def show(visit: Visit) -> Response:
    return await _one(visit)


@pages.post(_ONE, roles=ADMINS)
async def change(visit: Visit) -> Response:
    """Merge configuration and secrets, key by key."""
    config, secrets = {}, {}
    try:
        config, secrets = _config(visit), _secrets(visit)
        await connector_settings.change_connector(
            visit.desk,
            visit.principal,
            _name(visit),
            config=config or None,
            secrets=secrets or None,
            may_be_private=visit.site.gate.settings.connector_private,
        )
    except Missing:
        raise
    except AsoeError as error:
        return await _one(visit, problem=error)
    said = "New secrets are in use from the next call on." if secrets and not config else "Saved."
    return visit.back(f"{_ALL}/{_name(visit)}", said)


@pages.post(_ONE + "/test", roles=ADMINS)
async def test(visit: Visit) -> Response:
    """Ask the system whether it answers and lets us in; nothing is changed there."""
    return await _one(visit, health=await connector_settings.check_connector(visit.desk, visit.principal, _name(visit)))


@pages.post(_ONE + "/review", roles=ADMINS)
async def review(visit: Visit) -> Response:
    """Take what changed as it was shown, and nothing that came later."""
    name, tool = _name(visit), visit.text("tool", most=128)
    try:
        await connector_settings.change_connector(
            visit.desk,
            visit.principal,
            name,
            config={"review": {tool: visit.text("digest", most=128)}},
            may_be_private=visit.site.gate.settings.connector_private,
        )
    except Missing:
        raise
    except AsoeError as error:
        return await _one(visit, problem=error)
    return visit.back(f"{_ALL}/{name}", f"{tool} is used as it was shown.")


@pages.post(_ONE + "/disable", roles=ADMINS)
async def disable(visit: Visit) -> Response:
    name = _name(visit)
    await connector_settings.disable_connector(visit.desk, visit.principal, name, why=visit.text("why", most=500))
    undo = {"path": f"{_ALL}/{name}/enable", "fields": []}
    return visit.back(f"{_ALL}/{name}", f"No call goes through {name} any more.", undo=undo)


@pages.post(_ONE + "/enable", roles=ADMINS)
async def enable(visit: Visit) -> Response:
    await connector_settings.enable_connector(visit.desk, visit.principal, _name(visit))
    return visit.back(f"{_ALL}/{_name(visit)}", f"Calls go through {_name(visit)} again.")


@pages.post(_ONE + "/remove", roles=ADMINS)
async def remove(visit: Visit) -> Response:
    await connector_settings.remove_connector(visit.desk, visit.principal, _name(visit))
    return visit.back(_ALL, f"{_name(visit)} is removed with its secrets.")


async def _all(visit: Visit, problem: AsoeError | None = None) -> Response:
    return visit.page(
        "connectors.html",
        422 if problem else 200,
        tabs=TABS,
        found=await connector_settings.list_connectors(visit.desk, visit.principal),
        troubles=await connector_settings.list_troubles(visit.desk, visit.principal),
        kinds=visit.desk.connectors.kinds,
        secrets=range(_SECRETS),
        may_be_private=visit.site.gate.settings.connector_private,
        given={name: visit.text(name) for name in ("name", "kind", "config")} if problem else {},
        problem=problem,
    )


async def _one(visit: Visit, *, problem: AsoeError | None = None, health: Health | None = None) -> Response:
    name, offered, silent = _name(visit), None, ""
    record = await connector_settings.read_connector(visit.desk, visit.principal, name)
    if record.disabled_at is None:
        try:
            offered = await connector_settings.read_actions(visit.desk, visit.principal, name)
        except AsoeError as error:
            silent = error.message
    shown = connector_settings.shown(record)
    return visit.page(
        "connector.html",
        422 if problem else 200,
        tabs=TABS,
        record=record,
        config=yaml.safe_dump(shown["config"], sort_keys=False, allow_unicode=True),
        secret_names=await _secret_names(visit, name),
        trouble=(await connector_settings.list_troubles(visit.desk, visit.principal)).get(record.id),
        offered=offered,
        silent=silent,
        health=health,
        changed=[(each, _written(each.was), _written(each.now)) for each in health.changed] if health else [],
        secrets=range(_SECRETS),
        given=visit.text("config") if problem else "",
        problem=problem,
    )


def _written(said: Any) -> str:
    return "" if said is None else yaml.safe_dump(said, sort_keys=False, allow_unicode=True, width=100)


async def _secret_names(visit: Visit, name: str) -> list[str]:
    try:
        return await connector_settings.secret_names(visit.desk, visit.principal, name)
    except AsoeError:
        return []  # sealed with a key that is gone: the actions say so


def _name(visit: Visit) -> str:
    return str(visit.request.path_params["connector"])


def _config(visit: Visit) -> dict[str, Any]:
    text = visit.text("config", most=256 * 1024)
    if not text.strip():
        return {}
    data = read_source(text).data
    if not isinstance(data, dict):
        problem = "must be settings, each as `name: value` on a line of its own"
        raise Invalid(f"config: {problem}.", code="bad_connector", fields=(FieldProblem("config", problem),))
    return data


def _secrets(visit: Visit) -> dict[str, str]:
    """Those with a name and a value; a browser sends the others empty."""
    pairs = [
        (visit.text(f"secret.{each}.name", most=100).strip(), visit.text(f"secret.{each}.value", most=20_000))
        for each in range(_SECRETS)
    ]
    return {name: value for name, value in pairs if name and value}
