"""The live page in a real browser, against a server of hand-made parts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ops.server import schema
from ops.server.versions import Mapped, Versions
from ops.status import Phase, Status
from tests.browser.stage import TITLES, Stage, two_themes

AXE = Path(__file__).with_name("vendor") / "axe.min.js"
Visit = Callable[..., Any]


def state(page: Any, name: str) -> str:
    """Wait until the page says it is in this state; what it says."""
    page.locator(f"#state[data-state={name}]").wait_for()
    return str(page.inner_text("#state"))


def search(page: Any, words: str) -> None:
    page.fill("#q", words)
    page.locator("#found button").first.wait_for()


def click(page: Any, item: str) -> None:
    """Find an item by its title, click it, wait until the list says that it changed."""
    search(page, TITLES[item])
    page.locator("#found button", has_text=TITLES[item]).first.click()
    page.locator("#click-note", has_text=f"{TITLES[item]}: your list changed").wait_for()


def listed(page: Any) -> list[str]:
    page.locator("#list li").first.wait_for()  # the state may be told before the list has come
    found: list[str] = page.eval_on_selector_all("#list li", "rows => rows.map(row => row.dataset.item)")
    return found


def share_of_even(items: list[str]) -> float:
    return sum(int(item[1:]) % 2 == 0 for item in items) / len(items)


def test_a_click_changes_the_list_towards_its_theme(stage: Stage, visit: Visit) -> None:
    """Clicks on items of one theme raise the theme's share; the page names moves, reasons and the time."""
    stage.furnish()
    page = visit(stage.url)
    state(page, "live")
    before = share_of_even(listed(page))

    click(page, "i6")
    click(page, "i8")

    assert share_of_even(listed(page)) > before
    assert float(page.get_attribute("#click-note", "data-ms")) > 0
    assert page.locator("#list .move.up, #list .move.new").count() > 0
    assert "near your Desert tale" in page.inner_text("#list li:first-child .why")
    page.locator("#session li").nth(1).wait_for()
    assert "theme 1" in page.inner_text("#my-themes")


def test_a_list_by_the_memory_alone_names_no_facet(stage: Stage, visit: Visit) -> None:
    """Where the model weighs nothing, what its facets add would be 0.00 and says nothing."""
    stage.furnish()
    page = visit(stage.url)
    state(page, "live")
    stage.weight = 0.0

    click(page, "i6")

    told = page.inner_text("#list li:first-child .why")
    assert "often taken after your items (memory 0.500; the model counts 0 %)" in told
    assert "facet" not in told


def test_figures_of_the_stream_are_shown(stage: Stage, visit: Visit) -> None:
    """Quality with its interval, the load of a dead expert, themes and versions stand there in words."""
    stage.furnish()
    page = visit(stage.url)
    state(page, "live")

    page.locator("#themes", has_text="odd").wait_for()  # themes and versions are asked for apart
    page.locator("#versions", has_text="published without a gate").wait_for()
    assert "0.1200 0.1100 to 0.1300" in " ".join(page.inner_text("#quality").split())
    assert "Expert 1 ✗" in page.inner_text("#experts")
    assert "measured from the next one on" in page.inner_text("#theme-note")
    assert page.locator("#quality-chart canvas").count() == 1
    legend = page.inner_text("#quality-chart .u-legend")
    assert legend.split() == ["servedmodelpopular"]  # and not the edges of the band

    click(page, "i6")
    stage.do(stage.second)
    page.locator("#percentiles dd", has_text="ms").first.wait_for()
    assert "none answered" not in page.inner_text("#percentiles")


def test_a_theme_that_drifted_is_marked(stage: Stage, visit: Visit) -> None:
    """How far each theme's centre turned since the version before, in numbers and with a sign."""
    stage.furnish()

    def adopt() -> None:
        now = two_themes()
        before = dataclasses.replace(now.version, name="000001")
        stage.hall.answering.versions = Versions(
            epoch=2, current=now, previous=Mapped(before), drift=(0.004, 0.25)
        )

    stage.do(adopt)
    page = visit(stage.url)
    state(page, "live")

    page.locator("#themes td", has_text="0.250 ⚠").wait_for()
    assert "0.004" in page.inner_text("#themes")
    assert "since version 000001" in page.inner_text("#theme-note")


def test_before_anything_happened_the_page_says_so(stage: Stage, visit: Visit) -> None:
    """No list, no judgement, no version: each place says what it waits for."""
    page = visit(stage.url)

    assert "no list has been made" in state(page, "empty")
    assert "No event has been judged yet" in page.inner_text("#quality-note")
    page.locator("#versions-note", has_text="No version has been published yet").wait_for()


def test_a_page_without_answers_yet_is_loading(stage: Stage, browser: Any) -> None:
    """Until the server has told its past, the page says that it asks for it."""
    page = browser.new_page()
    page.route("**/health/ready", lambda route: None)  # never answered
    page.goto(stage.url)

    assert "Loading" in state(page, "loading")
    page.close()


def test_a_dead_server_is_a_disconnected_page(stage: Stage, visit: Visit) -> None:
    """The page says that the server is gone and from when its figures are."""
    stage.furnish()
    page = visit(stage.url)
    state(page, "live")
    stage.close()

    assert "trying again" in state(page, "disconnected")


def test_what_is_missing_is_named(stage: Stage, visit: Visit) -> None:
    """A server without its broker makes a degraded page with the reason, and the run's phase beside it."""
    stage.furnish()
    run = Status(
        dataset="ml-x",
        licence="free",
        pace="7 clicks/s",
        phases=[
            Phase(name="data", text="histories", state="done", seconds=1.0),
            Phase(name="warm start", text="learns", state="now"),
        ],
    )

    def lose() -> None:
        stage.hall.health.broker_away = True
        stage.hall.scene.run = run

    stage.do(lose)
    page = visit(stage.url)

    said = state(page, "degraded")
    assert "the broker does not answer" in said
    assert "warm start" in said
    assert "7 clicks/s" in page.inner_text("#facts")
    assert "ml-x" in page.inner_text("#facts")
    assert "not begun" in page.inner_text("#facts")
    stage.do(lambda: stage.hall.feed.tell("run", schema.encode(Status(dataset="ml-y", licence="", pace=""))))
    page.locator("#facts", has_text="ml-y").wait_for()
    held = Status(dataset="ml-y", licence="", pace="", sent=1, total=9, waiting=True)
    stage.do(lambda: stage.hall.feed.tell("run", schema.encode(held)))
    page.locator("#facts", has_text="paused: it waits for the scorer").wait_for()


def test_lists_that_come_late_are_no_live_page(stage: Stage, visit: Visit) -> None:
    """A scorer that is behind shows in the first line, in seconds; once lists come in time it is gone."""
    stage.furnish()
    page = visit(stage.url)
    state(page, "live")

    def told(p50: float) -> None:
        tick = replace(stage.hall.scene.pulse.ticks[-1], p50=p50, p95=p50, p99=p50)
        stage.hall.feed.tell("tick", schema.encode(tick))

    stage.do(lambda: told(38_960.0))
    assert "waited 39.0 s or longer" in state(page, "degraded")
    stage.do(lambda: told(80.0))
    state(page, "live")


def test_everything_is_reached_by_keyboard(stage: Stage, visit: Visit) -> None:
    """Skip link, search and a click of the first hit, without a mouse; the focus survives the new list."""
    stage.furnish()
    page = visit(stage.url)
    state(page, "live")

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.focus("#q")
    page.keyboard.type(TITLES["i6"])
    page.locator("#found button").first.wait_for()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator("#click-note", has_text="your list changed").wait_for()

    page.locator("#list button").nth(2).focus()
    page.keyboard.press("Enter")
    page.locator("#session li").nth(1).wait_for()
    assert page.evaluate("document.activeElement.tagName") in ("BUTTON", "INPUT")


@pytest.mark.parametrize("width", [360, 768, 1920])
def test_no_width_scrolls_sideways(width: int, stage: Stage, visit: Visit) -> None:
    """From a small phone to a wide screen everything fits."""
    stage.furnish()
    page = visit(stage.url, viewport={"width": width, "height": 800})
    state(page, "live")
    click(page, "i6")

    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_accessibility_violation(scheme: str, stage: Stage, visit: Visit) -> None:
    """axe-core finds nothing serious or critical, in light and in dark."""
    stage.furnish()
    page = visit(stage.url, color_scheme=scheme)
    state(page, "live")
    click(page, "i6")

    page.evaluate(AXE.read_text() + "; 0")
    found = page.evaluate("axe.run()")
    serious = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
    assert serious == [], json.dumps(
        [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in serious], indent=1
    )


def test_the_page_of_the_api_needs_nobody_else(stage: Stage, browser: Any, tmp_path: Path) -> None:
    """Every route is drawn, one opens, and nothing is asked of another origin or refused by the policy."""
    said, asked = list[str](), list[str]()
    page = browser.new_page()
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{stage.url}docs")
    page.locator(".opblock-summary-path").first.wait_for()
    page.locator(".opblock-summary", has_text="/similar/").first.click()
    page.locator(".opblock-body").first.wait_for()
    page.screenshot(path=tmp_path / "docs.png")
    page.close()

    assert said == []
    assert [url for url in asked if not url.startswith((stage.url, "data:"))] == []


def test_a_server_with_a_token_asks_for_it(tmp_path: Path, visit: Visit) -> None:
    """The refused click shows a field for the token; with it the next one counts."""
    stage = Stage(tmp_path / "models", token="sesame")
    try:
        stage.furnish()
        page = visit(stage.url)
        state(page, "live")
        search(page, TITLES["i6"])
        page.locator("#found button").first.click()
        page.fill("#token", "sesame")
        page.keyboard.press("Enter")
        page.locator("#click-note", has_text="click again").wait_for()
        click(page, "i6")
        assert "i6" not in listed(page)
        assert "your list changed" in page.inner_text("#click-note")
    finally:
        stage.close()
