"""The outside world over HTTP: its tasks, its tools as a connector's operations, and its score. Knows nothing of ASOE's desk."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import httpx

COSTLY: Final = ("refuel_data", "send_payment_request", "make_payment")
NATURALLY: Final = ("set_network_mode_preference", "reset_apn_settings", "grant_app_permission", "enable_roaming")
LEFT_OUT: Final = ("transfer_to_human_agents", "suspend_line", "connect_vpn", "set_apn_settings", "toggle_wifi")
"""What no runbook may use; the first is how the world learns that a person got the ticket."""
_TODAY: Final = re.compile(r"current time is (\d{4}-\d{2}-\d{2})")


@dataclass(frozen=True, slots=True)
class Started:
    """One task under way: its session and the ticket's text."""

    task: str
    session: str
    ticket: str


class World:
    """Its HTTP API; one client for all calls."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.AsyncClient(base_url=self.url, timeout=60, trust_env=False)

    async def tasks(self) -> list[str]:
        return sorted((await self._get("/tasks"))["ids"])

    async def today(self) -> str:
        """The day on which the operator's policy says it is."""
        found = _TODAY.search((await self._get("/policy"))["policy"])
        if found is None:
            raise ValueError("the world's policy does not say which day it is")
        return found[1]

    async def start(self, task: str, *, seed: int | None, reword: bool) -> Started:
        wanted: dict[str, Any] = {"reword": "true"} if reword else {}
        if seed is not None:
            wanted["seed"] = seed
        answer = await self._http.post(f"/tasks/{task}/start", params=wanted)
        made = answer.raise_for_status().json()
        return Started(task, made["session"], made["ticket"])

    async def hand_over(self, started: Started, summary: str) -> None:
        """Tell the world that a person has it now."""
        await self._http.post(
            "/tools/transfer_to_human_agents",
            json={"summary": summary[:500] or "handed over"},
            headers={"X-Session": started.session},
        )

    async def finish(self, started: Started) -> dict[str, Any]:
        answer = await self._http.post("/finish", headers={"X-Session": started.session})
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    async def operations(self) -> dict[str, Any]:
        """Its tools, written down as an organization would for a connector of kind `http`."""
        return {tool["name"]: _operation(tool) for tool in await self._get("/tools") if tool["name"] not in LEFT_OUT}

    async def close(self) -> None:
        await self._http.aclose()

    async def _get(self, path: str) -> Any:
        return (await self._http.get(path)).raise_for_status().json()


def _operation(tool: dict[str, Any]) -> dict[str, Any]:
    name, schema = tool["name"], tool["parameters"]
    required = schema.get("required", ())
    fields = {
        field: {"in": "body", "required": field in required, "schema": _plain(told)}
        for field, told in schema.get("properties", {}).items()
    }
    risk = "read" if tool["type"] == "read" else "costly" if name in COSTLY else "reversible"
    return {
        "method": "POST",
        "path": f"/tools/{name}",
        "description": tool["description"].splitlines()[0],
        "parameters": {"session": {"in": "header", "as": "X-Session", "required": True}, **fields},
        "risk": risk,
        "repeats": "naturally" if name in NATURALLY else "never",
        "result": "result",
        "error": {"path": "error", "equals": True, "message": "result", "missing": ["not found"]},
    }


def _plain(told: dict[str, Any]) -> dict[str, Any]:
    """The type of a parameter; references into the document it was taken from mean nothing here."""
    return {"type": told["type"]} if isinstance(told.get("type"), str) else {}
