"""The versions that the server ranks with: the one that serves and the one before, mapped from their files.

Knows: what the registry says, what a version is mapped for. Does not know: Kafka, HTTP, users.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from model.difference import theme_drift
from model.errors import ModelError
from model.registry import Current, Registry
from model.version import Version

log = logging.getLogger("hopstream.server")

UNREADABLE = "the registry cannot be read: "


class Mapped:
    """One version as a ranker without a network."""

    # I = items, D = width of a user vector

    def __init__(self, version: Version) -> None:
        self.version = replace(version, weights={})  # vectors come with the lists, nothing is encoded here
        self.name = version.name
        self.items = version.catalogue.items
        self.index_ID = version.index
        self.temperature = version.config.temperature
        self.places = {item: place for place, item in enumerate(self.items)}

    @cached_property
    def popular(self) -> npt.NDArray[np.float64]:
        """(I,) 1 / rank by events, ties to the lowest place; 0 for an item without any."""
        counts_I = self.version.popularity
        scores_I = np.zeros(len(counts_I))
        scores_I[np.argsort(-counts_I, kind="stable")] = 1.0 / np.arange(1, len(counts_I) + 1)
        scores_I[counts_I == 0] = 0.0
        return scores_I

    @cached_property
    def unit(self) -> npt.NDArray[np.float32]:
        """The index with lines of length 1, for cosines between items."""
        norms_I1 = np.linalg.norm(self.index_ID, axis=1, keepdims=True)
        unit_ID: npt.NDArray[np.float32] = self.index_ID / np.maximum(norms_I1, 1e-9)
        return unit_ID

    @property
    def theme_sizes(self) -> list[int]:
        """Items by the theme that they belong to most."""
        logits_IK = self.version.themes.logits_IK
        sizes: list[int] = np.bincount(logits_IK.argmax(axis=1), minlength=logits_IK.shape[1]).tolist()
        return sizes

    def theme_of(self, item: str) -> int | None:
        """The theme an item belongs to most, None outside the version."""
        logits_K = self.version.themes.logits_of(item)
        return None if logits_K is None or not len(logits_K) else int(logits_K.argmax())


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """What the registry said last."""

    epoch: int = 0
    current: Mapped | None = None
    previous: Mapped | None = None
    drift: tuple[float | None, ...] = ()  # of each theme since the version before; empty without one
    withdrawn: frozenset[str] = frozenset()
    seen: tuple[str, int] | None = None  # the version and epoch that were looked at last, mapped or refused
    problem: str | None = None  # why the newest word of the registry could not be followed

    def mapped(self, name: str | None) -> Mapped | None:
        """A version that is mapped, by its name."""
        both = (one for one in (self.current, self.previous) if one is not None)
        return next((one for one in both if one.name == name), None)


def follow(registry: Registry, known: Versions) -> Versions:
    """Look at the registry; ``known`` itself when nothing is new. A version that is refused changes nothing
    but ``problem``: what was mapped goes on serving."""
    try:
        current = registry.current()
    except (ModelError, OSError) as error:
        problem = f"{UNREADABLE}{error}"
        if problem != known.problem:
            log.warning("%s; what was mapped goes on", problem)
        return replace(known, problem=problem)
    if (known.problem or "").startswith(UNREADABLE):
        log.info("the registry can be read again")
        known = replace(known, problem=None)
    if current is None or (current.version, current.epoch) == known.seen:
        return known
    seen, withdrawn = (current.version, current.epoch), frozenset(current.withdrawn)
    try:
        ahead = _mapped(registry, current.version, known)
    except (ModelError, OSError) as error:
        log.warning("a version is refused, what was mapped goes on: %s", error)
        return replace(known, problem=str(error), seen=seen, withdrawn=withdrawn)
    previous = _before(registry, current, known)
    return Versions(
        epoch=current.epoch,
        current=ahead,
        previous=previous,
        drift=() if previous is None else tuple(theme_drift(previous.version, ahead.version)),
        withdrawn=withdrawn,
        seen=seen,
    )


def _mapped(registry: Registry, name: str, known: Versions) -> Mapped:
    return known.mapped(name) or Mapped(registry.load(name))


def _before(registry: Registry, current: Current, known: Versions) -> Mapped | None:
    """The version whose lists are still about: the one we served with, else the newest one beneath."""
    ours = known.current
    if ours is not None and ours.name != current.version and ours.name not in current.withdrawn:
        return ours
    names = [name for name in registry.list() if int(name) < int(current.version)]
    left = [name for name in names if name not in current.withdrawn]
    if not left:
        return None
    try:
        return _mapped(registry, left[-1], known)
    except (ModelError, OSError) as error:
        log.warning("the version before cannot be mapped, its lists are served as stored: %s", error)
        return None
