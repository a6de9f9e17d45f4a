"""What validation finds in files whose faults are known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ops.datasets import open_dataset
from ops.validate import Report, duration, json_lines_of, text, validate


def report(path: Path, lines: list[str]) -> Report:
    path.write_text("\n".join(lines) + "\n")
    return validate(
        open_dataset(str(path), cache_dir=path.parent, download=False),
        negative=frozenset({"skip"}),
        neutral=frozenset({"impression"}),
        gap_ms=1000,
        max_events=32,
        lines=json_lines_of(path),
    )


def click(user: str, item: str, ts: int, **more: object) -> str:
    return json.dumps({"event": "interaction", "user": user, "item": item, "ts": ts, "type": "click"} | more)


GOOD = [
    '{"event":"item","item":"x"}',
    '{"event":"item","item":"y"}',
    click("ann", "x", 1000),
    click("bob", "x", 500),
    click("ann", "y", 5000),
]


def verdicts(found: Report) -> dict[str, bool]:
    return {check.name: check.passed for check in found.checks}


def test_a_good_file_passes(tmp_path: Path) -> None:
    """Users may interleave in any order as long as each one's events are in time order."""
    found = report(tmp_path / "good.jsonl", GOOD)

    assert found.passed
    assert set(verdicts(found)) == {"lines", "order", "duplicates", "types", "items"}
    assert (found.events, found.users, found.items) == (3, 2, 2)
    assert found.sessions["num"] == 3


@pytest.mark.parametrize(
    ("line", "failing", "example"),
    [
        ("{broken", "lines", "line 6: not_json"),
        (click("", "x", 6000), "lines", "line 6: bad_id"),
        (click("ann", "x", 4999), "order", "line 6: 1 ms before line 5 of 'ann'"),
        (click("ann", "y", 5000), "duplicates", "line 6: the same event as line 5"),
        (click("ann", "z", 6000), "items", "item 'z'"),
    ],
)
def test_each_fault_fails_its_check_alone(tmp_path: Path, line: str, failing: str, example: str) -> None:
    """The check that fails is the one that names the fault, with its line."""
    found = report(tmp_path / "bad.jsonl", [*GOOD, line])

    assert [name for name, passed in verdicts(found).items() if not passed] == [failing]
    assert next(check for check in found.checks if check.name == failing).examples[0].startswith(example)
    assert "FAIL" in text(found)


def test_the_same_id_is_the_same_event(tmp_path: Path) -> None:
    """Two different touches under one id count once and are reported."""
    found = report(tmp_path / "ids.jsonl", [click("a", "x", 1, id="e"), click("a", "y", 2, id="e")])

    assert not verdicts(found)["duplicates"]


def test_a_set_without_positive_events_fails(tmp_path: Path) -> None:
    """Impressions and skips alone teach nothing."""
    found = report(
        tmp_path / "none.jsonl", [click("a", "x", 1, type="impression"), click("a", "x", 2, type="skip")]
    )

    assert not verdicts(found)["types"]
    assert found.types == {"impression": 1, "skip": 1}
    assert found.sessions["num"] == 0


def test_only_a_few_examples_are_shown(tmp_path: Path) -> None:
    """A thousand bad lines are counted, five are shown."""
    found = report(tmp_path / "many.jsonl", [click("a", "x", 1), *["{"] * 1000])
    lines = next(check for check in found.checks if check.name == "lines")

    assert len(lines.examples) == 5
    assert "1,000 refused: 1,000 not_json" in lines.detail


def test_other_formats_are_judged_by_what_their_loader_left_out(tmp_path: Path) -> None:
    """A CSV file has no line checks, but malformed rows and repeats are found."""
    found = report(tmp_path / "some.csv", ["user,item,ts", "a,x,1", "a,x,1", "b"])

    assert verdicts(found) == {
        "lines": False,
        "order": True,
        "duplicates": False,
        "types": True,
        "items": True,
    }


def test_the_report_is_json(tmp_path: Path) -> None:
    """Everything in it can be written as JSON, with the verdict."""
    found = report(tmp_path / "good.jsonl", GOOD)

    assert json.loads(json.dumps(found.to_json()))["passed"] is True


@pytest.mark.parametrize(
    ("ms", "shown"),
    [(0, "0 ms"), (1999, "1999 ms"), (90_000, "90 s"), (1_800_000, "30 min"), (43_200_000, "12 h")],
)
def test_durations_are_readable(ms: int, shown: str) -> None:
    """The largest unit of which there are at least two."""
    assert duration(ms) == shown
