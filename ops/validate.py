"""Is this data set fit for the stream? Checks with a verdict, and what its sessions look like.

Knows: what to check and when it fails. Does not know: the command line.

JSON Lines are read line by line, so that a fault has a line number; other formats through their loaders,
which sort by time and count what they leave out.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ops import gaps
from ops.datasets.building import OUTSIDE_DATES
from ops.datasets.files import find_files
from ops.datasets.jsonl import FORMAT as JSON_LINES
from ops.datasets.jsonl import records
from ops.datasets.table import Dataset
from stream.events import Interaction, Malformed, id_digest

#: Examples shown of each fault.
MAX_EXAMPLES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question and its answer."""

    name: str
    passed: bool
    detail: str
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All answers about one data set."""

    name: str
    checks: tuple[Check, ...]
    events: int
    users: int
    items: int
    types: dict[str, int]
    sessions: dict[str, Any]
    suggested_gap_ms: int
    suggested_because: str

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        return {"passed": self.passed} | asdict(self)


@dataclass(slots=True)
class Faults:
    """What is wrong, with the first few places."""

    num: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, example: str) -> None:
        self.num += 1
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(example)

    def check(self, name: str, good: str, bad: str) -> Check:
        """Passed without faults; ``bad`` has a place for their number."""
        detail = bad.format(num=f"{self.num:,}") if self.num else good
        return Check(name=name, passed=not self.num, detail=detail, examples=tuple(self.examples))


def validate(
    dataset: Dataset,
    *,
    negative: frozenset[str],
    neutral: frozenset[str],
    gap_ms: int,
    max_events: int,
    lines: Path | None = None,
) -> Report:
    """Everything about a data set; ``lines`` is its file when it is JSON Lines.

    Only positive events form sessions, so only they are counted there.
    Raises DatasetUnreadable when the file cannot be unpacked.
    """
    events = dataset.events
    counts = np.bincount(events.type, minlength=len(events.types)).tolist()
    types = {name: num for name, num in zip(events.types, counts, strict=True) if num}
    checks = _line_checks(lines) if lines else _table_checks(dataset)
    positive = [name not in negative | neutral for name in events.types]
    in_sessions = events.take(np.array(positive, dtype=bool)[events.type])
    silences = gaps.gaps_ms(in_sessions)
    suggestion = gaps.suggest(silences)
    lengths = gaps.session_lengths(in_sessions, gap_ms, max_events)
    return Report(
        name=dataset.name,
        checks=(*checks, _types_check(types, negative, neutral), _items_check(dataset)),
        events=len(events),
        users=len(np.unique(events.user)),
        items=len(np.unique(events.item)),
        types=types,
        sessions={
            "gap_ms": gap_ms,
            "num": len(lengths),
            "of_one_event": int((lengths == 1).sum()),
            "of_most_events": int((lengths == max_events).sum()),
            "length": gaps.percentiles(lengths),
            "silence_ms": gaps.percentiles(silences),
            "same_instant": int((silences == 0).sum()),
        },
        suggested_gap_ms=suggestion.gap_ms,
        suggested_because=suggestion.reason,
    )


def json_lines_of(path: Path) -> Path | None:
    """The path, if it is to be read line by line."""
    return path if path.is_file() and find_files(path, JSON_LINES.patterns) else None


def _line_checks(path: Path) -> tuple[Check, ...]:
    """Malformed lines, order and duplicates in JSON Lines; each user's events have to be in time order."""
    malformed, late, repeated = Faults(), Faults(), Faults()
    reasons: Counter[str] = Counter()
    newest: dict[str, tuple[int, int]] = {}  # user -> (time of newest event, its line)
    first_seen: dict[int, int] = {}  # event -> line
    for file in find_files(path, JSON_LINES.patterns):
        for number, record in records(file, time.time_ns() // 1_000_000):
            if isinstance(record, Malformed):
                reasons[record.reason] += 1
                malformed.add(f"line {number}: {record.reason}: {record.detail}")
            elif isinstance(record, Interaction):
                before_ms, before_line = newest.get(record.user, (-1, 0))
                if record.ts < before_ms:
                    behind_ms = before_ms - record.ts
                    late.add(f"line {number}: {behind_ms} ms before line {before_line} of {record.user!r}")
                else:
                    newest[record.user] = (record.ts, number)
                seen = first_seen.setdefault(id_digest(record), number)
                if seen != number:
                    repeated.add(f"line {number}: the same event as line {seen}")
    named = ", ".join(f"{num:,} {reason}" for reason, num in reasons.most_common())
    return (
        malformed.check("lines", "every line is an event or an item", f"{{num}} refused: {named}"),
        late.check("order", "every user's events are in time order", "{num} events come late for their user"),
        repeated.check("duplicates", "no event occurs twice", "{num} events occur again and count once"),
    )


def _table_checks(dataset: Dataset) -> tuple[Check, ...]:
    """The same questions about a set that its loader has already sorted and counted."""
    refused = sum(num for reason, num in dataset.dropped.items() if reason != OUTSIDE_DATES)
    named = ", ".join(f"{num:,} {reason}" for reason, num in sorted(dataset.dropped.items()))
    order = int((np.diff(dataset.events.time_ms) < 0).sum())
    num_repeated = _repeated(dataset)
    return (
        Check(
            name="lines",
            passed=not refused,
            detail=f"rows left out: {named}" if named else "every row is an event",
        ),
        Check(name="order", passed=not order, detail="sorted by time while reading, ties in file order"),
        Check(
            name="duplicates",
            passed=not num_repeated,
            detail=f"{num_repeated:,} events occur again and count once"
            if num_repeated
            else "no event occurs twice",
        ),
    )


def _repeated(dataset: Dataset) -> int:
    """Rows that have user, item, time and type of an earlier one, as events without id are told apart."""
    events = dataset.events
    order = np.lexsort((events.type, events.item, events.time_ms, events.user))
    same = np.ones(max(len(order) - 1, 0), dtype=bool)
    for column in (events.user, events.item, events.time_ms, events.type):
        ordered = column[order]
        same &= ordered[1:] == ordered[:-1]
    return int(same.sum())


def _types_check(types: dict[str, int], negative: frozenset[str], neutral: frozenset[str]) -> Check:
    def kind(name: str) -> str:
        return "negative" if name in negative else "neutral" if name in neutral else "positive"

    detail = ", ".join(f"{name} {num:,} ({kind(name)})" for name, num in types.items()) or "no events"
    positive = sum(num for name, num in types.items() if kind(name) == "positive")
    return Check(
        name="types", passed=positive > 0, detail=detail if positive else f"{detail}: none is positive"
    )


def _items_check(dataset: Dataset) -> Check:
    """Whether every item that occurs is described, if any is."""
    described = {item.item for item in dataset.items()}
    if not described:
        return Check(name="items", passed=True, detail="no item records, which is fine: ids are enough")
    unknown = Faults()
    events = dataset.events
    for code in np.unique(events.item).tolist():
        if events.items[code] not in described:
            unknown.add(f"item {events.items[code]!r}")
    good = f"{len(described):,} item records describe every item that occurs"
    return unknown.check("items", good, "{num} items that occur have no record")


def duration(ms: int) -> str:
    """A duration for people, in the largest unit that leaves more than two of it."""
    for unit_ms, unit in (
        (gaps.DAY_MS, "d"),
        (gaps.HOUR_MS, "h"),
        (gaps.MINUTE_MS, "min"),
        (gaps.SECOND_MS, "s"),
    ):
        if ms >= 2 * unit_ms:
            return f"{ms / unit_ms:.3g} {unit}"
    return f"{ms} ms"


def text(report: Report) -> str:
    """The report for people."""
    lines = [f"{report.name}: {report.events:,} events, {report.users:,} users, {report.items:,} items"]
    for check in report.checks:
        lines.append(f"{'PASS' if check.passed else 'FAIL'}  {check.name}: {check.detail}")
        lines.extend(f"        {example}" for example in check.examples)
    found = report.sessions
    lines.append(f"sessions under a gap of {duration(found['gap_ms'])}: {found['num']:,}")
    if found["num"]:
        alone = found["of_one_event"] / found["num"]
        full = found["of_most_events"] / found["num"]
        lengths = " ".join(f"{name} {value}" for name, value in found["length"].items())
        lines.append(
            f"        events per session: {lengths}; {alone:.0%} have one event, {full:.0%} are full"
        )
    if found["silence_ms"]:
        silences = " ".join(f"{name} {duration(value)}" for name, value in found["silence_ms"].items())
        lines.append(f"        silence between a user's events: {silences}; {found['same_instant']:,} are 0")
    lines.append(f"suggested gap: {duration(report.suggested_gap_ms)} ({report.suggested_because})")
    lines.append("PASS" if report.passed else "FAIL")
    return "\n".join(lines)
