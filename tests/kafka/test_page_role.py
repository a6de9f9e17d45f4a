"""The live page on a real broker, in a real browser: a click is stored, answered, timed and drawn."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import browser  # noqa: F401  # the fixture
from tests.kafka.test_server_role import Counter, counter  # noqa: F401  # the fixture

pytestmark = pytest.mark.timeout(300)


def test_a_click_on_the_page_goes_around_and_is_timed(counter: Counter, browser: Any) -> None:  # noqa: F811
    """The list that knows it is drawn with its milliseconds, and the server's own count of them follows."""
    title = {"event": "item", "item": "i1", "title": "Heat", "ts": 1}
    assert counter.client.post("/events", json=title).status_code == 202
    counter.town.wait_until(lambda: bool(counter.client.get("/items?q=heat").json()["items"]), "a title")
    counter.recommend("bob", min_offset=counter.click("bob", "i2", 1000))
    page = browser.new_page()
    page.set_default_timeout(60_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(str(counter.client.base_url))
    page.locator("#state:not([data-state=loading])").wait_for()

    page.fill("#q", "heat")
    page.locator("#found button", has_text="Heat").click()
    page.locator("#click-note", has_text="Heat: your list changed").wait_for()

    assert float(page.get_attribute("#click-note", "data-ms")) > 0
    assert "it knows 1 of your events" in page.inner_text("#list-note")
    page.locator("#session li", has_text="Heat").wait_for()
    page.locator("#percentiles dd", has_text=" ms").first.wait_for()
    page.close()
    assert errors == []
