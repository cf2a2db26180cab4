"""A refusal of the demo estate is known to be one: nobody waits for an act that was turned down."""

from __future__ import annotations

from uuid import UUID

import httpx
import pytest

from asoe.connectors.contract import ConnectorError
from asoe.connectors.http import open_http
from asoe.connectors.kinds import Opening
from asoe.demo.back_office import estate_config
from asoe.demo.estate.service import DEMO_TOKENS, running
from asoe.demo.estate.store import Store


async def test_a_refused_act_with_a_key_is_over_and_had_no_effect(store: Store) -> None:
    user = store.find("users")[0]
    with store.transaction():
        store.change("users", user["id"], pin_attempts=3)
    async with running(store) as url:
        async with httpx.AsyncClient(trust_env=False) as client:
            document = (await client.get(f"{url}/openapi.json")).json()
        config = estate_config(url, document)
        opening = Opening(UUID(int=1), "estate", config, {"token": DEMO_TOKENS.operator}, allow_private=True)
        connector = open_http(opening)
        try:
            with pytest.raises(ConnectorError) as refused:
                await connector.act(
                    "identity_checks_make", {"item_id": user["id"], "pin": "000000"}, key="asoe-refused-1", timeout=5
                )
        finally:
            await connector.close()
    assert refused.value.permanent
    assert refused.value.effect == "none"
    assert "pin_blocked" in refused.value.message
