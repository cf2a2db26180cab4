"""Views of the queue are kept for oneself or shared; another's own is neither seen nor taken away, an admin removes shared ones."""

from __future__ import annotations

import pytest

from asoe.desk import saved_view
from asoe.domain.errors import Denied, Invalid, Missing

FILTERS = {"view": "all", "category": "billing", "q": "refund"}


async def test_own_views_are_ones_own_and_shared_ones_everybodys(world, globex):
    desk, agent, admin = world.desk, world.acme.agent, world.acme.admin
    own = await saved_view.save_view(desk, agent, "  Late   refunds ", FILTERS)
    assert (own.name, own.filters, own.is_shared) == ("Late refunds", FILTERS, False)
    again = await saved_view.save_view(desk, agent, "Late refunds", {"view": "mine"})
    assert (again.id, again.filters) == (own.id, {"view": "mine"})
    shared = await saved_view.save_view(desk, agent, "For all", FILTERS, is_shared=True)
    assert [each.name for each in await saved_view.list_views(desk, agent)] == ["Late refunds", "For all"]
    assert [each.id for each in await saved_view.list_views(desk, admin)] == [shared.id]
    assert await saved_view.list_views(desk, globex.agent) == []
    for who, view in ((admin, own), (globex.owner, shared), (globex.owner, own)):
        with pytest.raises(Missing):
            await saved_view.remove_view(desk, who, view.id)
    theirs = await saved_view.save_view(desk, admin, "Admin's", FILTERS, is_shared=True)
    with pytest.raises(Missing):
        await saved_view.remove_view(desk, agent, theirs.id)
    await saved_view.remove_view(desk, admin, shared.id)
    await saved_view.remove_view(desk, agent, own.id)
    assert [each.id for each in await saved_view.list_views(desk, agent)] == [theirs.id]


async def test_a_view_has_a_name_and_nobody_keeps_too_many(world):
    desk, agent = world.desk, world.acme.agent
    for name in ("", " ", "x" * 61, "a\x00b", "a\u200bb"):
        with pytest.raises(Invalid) as caught:
            await saved_view.save_view(desk, agent, name, {})
        assert caught.value.code == "bad_view"
    for number in range(saved_view.MOST_OWN):
        await saved_view.save_view(desk, agent, f"view {number}", {})
    with pytest.raises(Invalid):
        await saved_view.save_view(desk, agent, "one more", {})
    assert len(await saved_view.list_views(desk, agent)) == saved_view.MOST_OWN
    with pytest.raises(Denied):
        await saved_view.list_views(desk, world.acme.client)
