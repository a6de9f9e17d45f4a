"""The README's commands against a running demo: each works, and answers in the shape that is shown."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.kafka.exhibit import README, Exhibit, Typed, commands

pytestmark = pytest.mark.timeout(600)

#: Lines of `hopstream recommend`, for people.
LINES = (
    r"393: by version \d{6} \(epoch \d+\), knows \d+ events up to offset \d+",
    r"theme \d+ \S.* \(\d+%\)",
    r" +\d+ +-?\d+\.\d{4}  \S+  \S.*",
)


def kinds(text: str) -> list[int]:
    """Which of LINES each line is; -1 for one that is none."""
    return [
        next((number for number, line in enumerate(LINES) if re.fullmatch(line, one)), -1)
        for one in text.strip().splitlines()
    ]


def unlike(shown: Any, came: Any, where: str = "answer") -> list[str]:
    """Where what came lacks something that is shown, or has it as another kind of value."""
    if isinstance(shown, dict) and isinstance(came, dict):
        missing = [f"{where} has no {name!r}" for name in shown if name not in came]
        both = [name for name in shown if name in came]
        return missing + [one for name in both for one in unlike(shown[name], came[name], f"{where}.{name}")]
    if isinstance(shown, list) and isinstance(came, list) and shown:
        return unlike(shown[0], came[0], f"{where}[0]") if came else [f"{where} is empty"]
    return [] if type(shown) is type(came) else [f"{where}: {shown!r} is shown, {came!r} came"]


def shown_as_json(text: str) -> Any:
    """What the README shows, without the marks of what it leaves out."""
    return json.loads(re.sub(r",?…", "", text))


def typed(demo: Exhibit, start: str) -> list[Typed]:
    assert demo.typed, demo.said
    return [one for one in demo.typed if one.command.startswith(start)]


def test_every_command_works(demo: Exhibit) -> None:
    """Status 0, in the order in which they stand there."""
    assert [one.command for one in demo.typed] == [command for command, _ in commands(README)], demo.said
    assert [(one.command, one.output) for one in demo.typed if one.status] == []


def test_lists_for_people_read_as_shown(demo: Exhibit) -> None:
    """Whose list, its themes, five items; both times, and the second time more events are known."""
    found = typed(demo, "hopstream recommend")
    known = [int(re.search(r"knows (\d+)", one.output)[1]) for one in found]  # type: ignore[index]

    for one in found:
        for text in (one.shown, one.output):
            assert sorted(set(kinds(text))) == [0, 1, 2], text
            assert kinds(text).count(2) == 5
    assert known[0] < known[1]


def test_answers_over_http_have_the_shape_that_is_shown(demo: Exhibit) -> None:
    """Every field that is shown came, of its type: what is null is null, what is degraded says the same."""
    found = typed(demo, "curl")
    assert len(found) == 3

    for one in found:
        assert unlike(shown_as_json(one.shown), json.loads(one.output)) == [], one
    before, after = json.loads(found[0].output), json.loads(found[2].output)
    assert before["reason"] == shown_as_json(found[0].shown)["reason"]
    assert after["state"]["events"] == 1
