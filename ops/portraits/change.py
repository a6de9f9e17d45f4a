"""What changed for a user between two moments, and why.

Knows: two moments as they were rebuilt (then.py). Does not know: how, topics, the verb.

Reasons are read off, not measured: an item that was taken or rejected left for that; otherwise a change is
put down to the version if it changed, else to the open session's theme if that changed, else to the events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ops.portraits.then import TOP, Rebuilt

TAKEN, REJECTED, VERSION, THEME, EVENTS = "taken", "rejected", "version", "theme", "events"


def changes(before: Rebuilt, after: Rebuilt) -> dict[str, Any]:
    """Events in between, version, theme and list of both moments. Stored lists are compared where both are
    still on the topic, else what the versions' models make of both states."""
    stored = before.stored is not None and after.stored is not None
    first, second = _shown(before, stored), _shown(after, stored)
    fresh = _new_events(before, after)
    rejected = {item for item, _, _ in after.state.user.value.rejected}
    themes = [_leading(before), _leading(after)]
    why = _general(before.version, after.version, themes, fresh)
    return {
        "at": [before.at, after.at],
        "events": [{"item": item, "ts": ts_ms, "type": type_} for item, ts_ms, type_ in fresh],
        "version": [before.version, after.version],
        "theme": themes,
        "compared": "list" if stored else "model",
        "left": [
            {"item": item, "why": _gone(item, {one for one, _, _ in fresh}, rejected, why)}
            for item in first
            if item not in second
        ],
        "entered": [{"item": item, "why": why} for item in second if item not in first],
        "stayed": sum(item in second for item in first),
    }


def show(found: Mapping[str, Any], titles: Mapping[str, str]) -> None:
    """The same for people."""
    for name in ("version", "theme"):
        before, after = found[name]
        print(f"{name}: {before}" + (f" -> {after}" if before != after else ", unchanged"))
    print(f"{len(found['events'])} events in between")
    for event in found["events"]:
        print(f"    {event['item']}  {titles.get(event['item'], '')}  {event['type']}")
    print(f"{found['stayed']} of the first {TOP} stayed (the {found['compared']} is compared)")
    for name in ("left", "entered"):
        for entry in found[name]:
            print(f"{name:8} {entry['item']}  {titles.get(entry['item'], '')}  ({entry['why']})")


def _shown(then: Rebuilt, stored: bool) -> list[str]:
    if stored and then.stored is not None:
        return [place.item for place in then.stored.items[:TOP]]
    return [item for item, _ in then.ranked[:TOP]]


def _new_events(before: Rebuilt, after: Rebuilt) -> list[tuple[str, int, str]]:
    """Events of the later state that the earlier one does not have, in arrival order."""
    known = set(_events(before))
    return [event for event in _events(after) if event not in known]


def _events(then: Rebuilt) -> list[tuple[str, int, str]]:
    user = then.state.user
    value = user.value
    closed = [triple for session in user.closed for triple in session.triples()]
    opened = zip(value.open_items, value.open_times_ms, value.open_types, strict=True)
    return [*closed, *opened, *value.rejected]


def _leading(then: Rebuilt) -> int | None:
    return then.themes[0][0] if then.themes else None


def _general(
    before: str | None, after: str | None, themes: Sequence[int | None], fresh: Sequence[object]
) -> str:
    if before != after:
        return VERSION
    if themes[0] != themes[1]:
        return THEME
    return EVENTS if fresh else "other users' events"


def _gone(item: str, taken: set[str], rejected: set[str], otherwise: str) -> str:
    if item in rejected:
        return REJECTED
    return TAKEN if item in taken else otherwise
