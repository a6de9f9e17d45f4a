"""What is told of a user, an item, the themes and the versions.

Knows: states, shelf, versions and registry, and the API's records. Does not know: HTTP.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from model import store
from model.errors import VersionDamaged
from model.registry import Registry
from ops.portraits import theme as portrait
from ops.server import schema
from ops.server.answers import Answering
from ops.server.shelf import Shelf
from ops.server.versions import Mapped, Versions
from stream import history
from stream.codec import NO_THEME
from stream.records import ThemeWeight
from stream.requests import hidden_items
from stream.themes import Router


def user(answering: Answering, name: str) -> schema.UserTold | None:
    """None if neither a state nor a list is known."""
    state, newest = answering.view.state_of(name), answering.view.list_of(name)
    if newest is None and (state is None or (not state.items and not state.value.counters.applied)):
        return None
    mapped = answering.versions.current
    router = Router(mapped.version.themes, mapped.name) if mapped is not None else Router()
    counters = None if state is None else state.value.counters
    return schema.UserTold(
        user=name,
        events=0 if counters is None else counters.applied,
        counts={} if counters is None else msgspec.structs.asdict(counters),
        sessions=[] if state is None else _sessions(state, answering),
        themes=[]
        if state is None or mapped is None
        else [
            ThemeWeight(id=theme, weight=round(weight, 4), label=mapped.version.themes.labels[theme])
            for theme, weight in state.themes(router)
        ],
        rejected=[] if state is None else list(hidden_items(state)),
        newest=newest,
    )


def _sessions(state: history.User, answering: Answering) -> list[schema.Session]:
    title = answering.shelf.title

    def touched(triples: list[tuple[str, int, str]]) -> list[schema.Touched]:
        return [
            schema.Touched(item=item, title=title(item), ts=ts_ms, type=kind) for item, ts_ms, kind in triples
        ]

    sessions = [
        schema.Session(
            number=closed.number,
            open=False,
            theme=_theme(answering.versions, closed.routed_by, closed.theme),
            routed_by=closed.routed_by,
            events=touched(closed.triples()),
        )
        for closed in state.closed
    ]
    value = state.value
    if value.open_items:
        triples = list(zip(value.open_items, value.open_times_ms, value.open_types, strict=True))
        sessions.append(
            schema.Session(
                number=value.next_session, open=True, theme=None, routed_by=None, events=touched(triples)
            )
        )
    return sessions


def _theme(versions: Versions, version: str | None, theme: int) -> schema.Theme | None:
    """A number means a theme only within the version that chose it."""
    if theme == NO_THEME:
        return None
    mapped = versions.mapped(version)
    labels = () if mapped is None else mapped.version.themes.labels
    return schema.Theme(id=theme, label=labels[theme] if theme < len(labels) else "")


def item(shelf: Shelf, versions: Versions, name: str) -> schema.ItemTold:
    """An item, known or not."""
    record, mapped = shelf.get(name), versions.current
    place = None if mapped is None else mapped.places.get(name)
    theme = None if mapped is None else mapped.theme_of(name)
    return schema.ItemTold(
        item=name,
        title=None if record is None else record.title,
        categories=[] if record is None else record.categories,
        text=None if record is None else record.text,
        model=None if mapped is None else mapped.name,
        known=place is not None,
        events=0 if mapped is None or place is None else int(mapped.version.popularity[place]),
        theme=None if mapped is None or theme is None else _theme(versions, mapped.name, theme),
    )


def weight(versions: Versions) -> Callable[[str], float]:
    """How well an item is known: its events in the version that serves."""
    mapped = versions.current
    if mapped is None:
        return lambda _: 0.0
    places, counts_I = mapped.places, mapped.version.popularity
    return lambda name: float(counts_I[places[name]]) if name in places else -1.0


def themes(answering: Answering) -> schema.Themes:
    """The themes of the version that serves; none without one."""
    mapped = answering.versions.current
    if mapped is None:
        return schema.Themes(model=None, before=None, themes=[])
    shelf, versions = answering.shelf, answering.versions
    drift = versions.drift or [None] * len(mapped.version.themes.labels)

    def named(places: list[dict[str, Any]]) -> list[schema.Named]:
        return [schema.Named(item=str(one["item"]), title=shelf.title(str(one["item"]))) for one in places]

    return schema.Themes(
        model=mapped.name,
        before=None if versions.previous is None else versions.previous.name,
        themes=[
            schema.ThemeTold(
                id=told["theme"],
                label=told["label"],
                num_items=told["num_items"],
                share_of_items=round(told["share_of_items"], 6),
                share_of_events=round(told["share_of_events"], 6),
                drift=None if turned is None else round(turned, 6),
                typical=named(told["typical"]),
                best_known=named(told["best_known"]),
            )
            for told, turned in zip(_portraits(mapped), drift, strict=True)
        ],
    )


@lru_cache(maxsize=2)
def _portraits(mapped: Mapped) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = portrait.every(mapped.version)["themes"]
    return found


def models(registry: Registry, directory: Path) -> schema.Models:
    """The registry by its manifests; a damaged one is left out."""
    current = registry.current()
    withdrawn = () if current is None else current.withdrawn
    versions = []
    for name in registry.list():
        try:
            manifest = store.read_manifest(directory / name)
        except VersionDamaged:
            continue
        versions.append(
            schema.Published(
                version=name,
                serves=current is not None and current.version == name,
                withdrawn=name in withdrawn,
                published_ms=_written_ms(directory / name / store.MANIFEST),
                parent=manifest.get("parent"),
                events=manifest.get("events", 0),
                metrics=manifest.get("metrics") or {},
                gate=manifest.get("gate"),
            )
        )
    return schema.Models(
        current=None if current is None else current.version,
        epoch=0 if current is None else current.epoch,
        versions=versions,
    )


def _written_ms(path: Path) -> int:
    try:
        return round(path.stat().st_mtime * 1000)
    except OSError:
        return 0
