"""A user at a moment: the state rebuilt, the version of that time, the list that was and the list it makes.

Knows: what is told of a moment. Does not know: how states are rebuilt (ops/past.py), the verb.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ops.states import NoSuchUser

if TYPE_CHECKING:
    from ops.past import Then
    from stream.records import RecommendationList
    from stream.settings import Settings

#: Places that are told.
TOP = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """A user as of then."""

    at: str
    state: Then
    version: str | None  # of the list, or the newest published by then
    stored: RecommendationList | None  # None: compacted, or none was made
    ranked: list[tuple[str, float]]  # by the version's model alone
    themes: tuple[tuple[int, float], ...] = ()  # of the open session, by that version

    def fields(self) -> dict[str, Any]:
        """What is told beside the state."""
        return {
            "at": self.at,
            "version": self.version,
            "list": None
            if self.stored is None
            else {
                "offset": self.stored.state.offset,
                "degraded": self.stored.degraded,
                "items": [[place.item, place.score] for place in self.stored.items[:TOP]],
            },
            "model": self.ranked,
            "themes": self.themes,
        }


def rebuilt(settings: Settings, bootstrap: str, user: str, at: str) -> Rebuilt:
    """Raises NoSuchUser, NoMoment, BrokerUnreachable, ModelError."""
    from model.registry import Registry
    from ops.past import lists_then, ranking_then, states_then, version_then
    from stream.history import Rules
    from stream.moment import moment
    from stream.themes import Router
    from stream.topics import TopicNames

    names, when = TopicNames(settings.kafka.prefix), moment(at, time.time_ns() // 10**6)
    stored = lists_then(bootstrap, names, when, only=user).get(user)
    rules = Rules.of(settings)
    found = states_then(bootstrap, names, rules, when, only=user).get(user.encode())
    if found is None:
        raise NoSuchUser(f"(user {user!r}, at {at})")
    directory = settings.models.dir
    version = (stored.model if stored else None) or version_then(directory, found.written_ms)
    ranked: list[tuple[str, float]] = []
    themes: tuple[tuple[int, float], ...] = ()
    if version is not None:
        router = Router(Registry(directory).load_themes(version), version)
        found = states_then(bootstrap, names, rules, when, only=user, router=router)[user.encode()]
        ranked = ranking_then(settings, version, user, found, TOP)
        themes = found.user.themes(router)
    return Rebuilt(at=at, state=found, version=version, stored=stored, ranked=ranked, themes=themes)


def items_of(fields: Mapping[str, Any]) -> set[str]:
    """Items of both lists, to be called by their titles."""
    listed = fields["list"]["items"] if fields.get("list") else []
    return {item for item, _ in [*listed, *fields.get("model", [])]}


def show(fields: Mapping[str, Any], titles: Mapping[str, str]) -> None:
    """Both lists; nothing where no moment was asked for."""
    if "at" not in fields:
        return
    listed = fields["list"]
    if listed is None:
        print("the list of that moment is no longer on its topic")
    else:
        print(
            f"list of offset {listed['offset']}" + (f", {listed['degraded']}" if listed["degraded"] else "")
        )
        _show_items(listed["items"], titles)
    if fields["model"]:
        print(f"the model of version {fields['version']} on this state")
        _show_items(fields["model"], titles)


def _show_items(items: list[list[Any]] | list[tuple[str, float]], titles: Mapping[str, str]) -> None:
    for number, (item, score) in enumerate(items, 1):
        print(f"{number:3} {score:10.4f}  {item}  {titles.get(item, '')}".rstrip())
