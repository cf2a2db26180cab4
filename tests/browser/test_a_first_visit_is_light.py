"""A first visit loads at most 150 KB, compressed, from this server alone; a second one loads the page only."""

from __future__ import annotations

import pytest
from browser_cast import House
from playwright.async_api import Browser, Response

BUDGET = 150 * 1024


@pytest.mark.parametrize("path", ["/", "/queue?view=all", "/tickets/{ticket}", "/knowledge"])
async def test_what_is_loaded_stays_in_its_budget(path: str, house: House, browser: Browser) -> None:
    count = 40 if "queue" in path else 1
    opened = [await house.ticket(house.acme, subject=f"Weight {number}") for number in range(count)]
    token = await house.sign_in(house.acme.owner)
    context = await browser.new_context(base_url=house.url)
    await context.add_cookies([{"name": "asoe_sign_in", "value": token, "url": house.url}])
    page = await context.new_page()
    seen: list[Response] = []
    page.on("response", lambda response: seen.append(response))  # noqa: PLW0108  # Playwright marks what it calls
    await page.goto(path.replace("{ticket}", str(opened[0].id)), wait_until="load")
    sizes = {}
    for response in seen:
        assert response.url.startswith(house.url), f"{response.url} is somebody else's"
        if "/live" not in response.url:
            sizes[response.url] = (await response.request.sizes())["responseBodySize"]
    assert sum(sizes.values()) <= BUDGET, sizes
    seen.clear()
    await page.reload(wait_until="load")
    again = [response.url for response in seen if "/assets/" in response.url and "favicon" not in response.url]
    fetched = [url for url in again if (await _size(seen, url)) > 0]
    assert not fetched, "named by content, so kept by the browser"
    await context.close()


async def _size(seen: list[Response], url: str) -> int:
    response = next(each for each in seen if each.url == url)
    timing = response.request.timing
    return 0 if timing["responseStart"] <= 1 else int((await response.request.sizes())["responseBodySize"])
