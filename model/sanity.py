"""Is a new version sane at all? Asked before the gate: a broken one need not be compared, it never serves.

Knows: values that are no numbers, parts that do not fit, lists of made-up users, collapse, what is dead.
Does not know: whether it ranks better (model/gate.py), files (model/store.py checks digests), who asks.

Canaries are a fixed set of histories. Their lists are the top of the index, so they are full and without
repeats wherever the scores are numbers. What the parent suffers from too is not held against its child. The
bound on coverage and the comparison with the parent are our construction.
"""

# I = items, S = canaries, D = width, K = themes, n = length of a list

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch

from model.backbone import Backbone, last
from model.batch import Events, padded
from model.catalogue import Catalogue
from model.checkup import check, made_up
from model.config import ModelConfig
from model.errors import ModelError
from model.families import FAMILIES
from model.health import Health, theme_health
from model.themes import ThemeTable
from model.version import Weights, check_fit

Lists = npt.NDArray[np.int64]

CANARIES, CANARY_EVENTS = 64, 16
LIST = 10
#: Lists of the canaries name at least this share of the items that the parent's name.
KEPT_COVERAGE = 0.5
#: How far lines of the index may lie from what the weights give: rounding.
ROUNDING = 1e-3


class Parts(Protocol):
    """What is looked at: a version.Trained before it is published, or a version.Version."""

    @property
    def config(self) -> ModelConfig: ...
    @property
    def catalogue(self) -> Catalogue: ...
    @property
    def weights(self) -> Weights: ...
    @property
    def index(self) -> npt.NDArray[np.float32]: ...
    @property
    def themes(self) -> ThemeTable: ...
    @property
    def popularity(self) -> npt.NDArray[np.int64]: ...


class Fault(NamedTuple):
    """Why a version is not sane."""

    name: str
    detail: str  # one sentence


class _Found(NamedTuple):
    """What one version does with the canaries."""

    lists_Sn: Lists
    finite: bool
    layers: list[list[str]]  # alarms by layer
    themes: list[str]  # alarms


def canaries_of(parts: Parts, seed: int = 0) -> list[Events]:
    """The fixed set of histories: made up, by popularity, the same for the same version."""
    length = min(CANARY_EVENTS, max(1, len(parts.catalogue) // 2), parts.config.max_events)
    return made_up(parts.popularity, CANARIES, length, seed)


def sanity(new: Parts, parent: Parts | None, canaries: Sequence[Events] | None = None) -> list[Fault]:
    """Every fault of ``new``; an empty list lets it go on to the gate.

    ``canaries``: histories in rows of the parent's catalogue; default: canaries_of the parent, or of the
    version itself where it has none. Names: `not finite`, `does not fit`, `other catalogue`,
    `one list for all`, `coverage collapsed`, `expert dead`, `theme dead`.
    """
    faults = [*_numbers(new), *_fit(new)]
    if parent is not None:
        faults += _grown(new.catalogue, parent.catalogue)
    if faults:
        return faults  # the network cannot be asked, or its rows mean other items
    asked = canaries_of(parent or new) if canaries is None else list(canaries)
    found = _ask(new, asked)
    before = None if parent is None else _ask(parent, asked)
    return [*_lists(found, before), *_collapse(found, before), *_dead(found, before)]


def _numbers(new: Parts) -> Iterator[Fault]:
    named = {**new.weights, "index": new.index, "themes": new.themes.logits_IK}
    wrong = [name for name, array in named.items() if not np.isfinite(array).all()]
    if wrong:
        yield Fault("not finite", f"values that are no numbers in {', '.join(wrong)}.")


def _fit(new: Parts) -> Iterator[Fault]:
    try:
        check_fit("the new version", new.config, new.catalogue, new.weights, new.index, new.popularity)
        model = _network(new)
    except (ModelError, RuntimeError, KeyError) as error:
        yield Fault("does not fit", f"{error}")
        return
    lines_ID = model.item_index().numpy()
    if np.abs(lines_ID - new.index).max(initial=0) > ROUNDING:
        yield Fault("does not fit", "the index is not the one that these weights give.")


def _grown(new: Catalogue, parent: Catalogue) -> Iterator[Fault]:
    if new.items[: len(parent)] != parent.items:
        pairs = zip(new.items, parent.items, strict=False)
        differs = next((at for at, pair in enumerate(pairs) if pair[0] != pair[1]), len(new))
        detail = f"a catalogue only appends to its parent's {len(parent)} items, but item {differs} differs."
        yield Fault("other catalogue", detail)


def _ask(parts: Parts, canaries: Sequence[Events]) -> _Found:
    model = _network(parts)
    inputs = padded(list(canaries), parts.config.max_events)
    with torch.inference_mode():
        encoded = model.encode(inputs.rows_BN, inputs.times_BN, inputs.lengths_B)
        vectors_SD = model.vectors(last(encoded.states_BNMd, inputs.lengths_B))
        scores_SI = (vectors_SD @ model.item_index().T).numpy()
    lists_Sn = np.argsort(-scores_SI, axis=1, kind="stable")[:, :LIST]
    layers = check(model, canaries, parts.config.max_events).layers
    theme_I = parts.themes.logits_IK.argmax(axis=1)
    events_K = np.bincount(theme_I, parts.popularity, minlength=len(parts.themes.labels))
    themes = theme_health(events_K, unit="events", names=parts.themes.labels)
    return _Found(
        lists_Sn=lists_Sn,
        finite=bool(np.isfinite(scores_SI).all()),
        layers=[Health(layers=(layer,)).alarms for layer in layers],
        themes=Health(themes=themes).alarms,
    )


def _lists(found: _Found, before: _Found | None) -> Iterator[Fault]:
    num = len(found.lists_Sn)
    if not found.finite:
        yield Fault("not finite", f"scores of the {num} canaries are no numbers.")
    elif _alike(found) and not (before and _alike(before)):
        yield Fault("one list for all", f"{num} canaries get one and the same list.")


def _alike(found: _Found) -> bool:
    return len(found.lists_Sn) > 1 and len(np.unique(found.lists_Sn, axis=0)) == 1


def _collapse(found: _Found, before: _Found | None) -> Iterator[Fault]:
    if before is None:
        return
    now, then = len(np.unique(found.lists_Sn)), len(np.unique(before.lists_Sn))
    if now < KEPT_COVERAGE * then:
        yield Fault(
            "coverage collapsed", f"lists of the canaries name {now} items, the parent's named {then}."
        )


def _dead(found: _Found, before: _Found | None) -> Iterator[Fault]:
    """More alarms than the parent has: experts and themes may change numbers, so they are counted."""
    for number, alarms in enumerate(found.layers):
        then = before.layers[number] if before is not None and number < len(before.layers) else []
        if len(alarms) > len(then):
            yield Fault("expert dead", f"{'; '.join(alarms)}; the parent has {len(then)} such alarms.")
    known = before.themes if before is not None else []
    if len(found.themes) > len(known):
        yield Fault("theme dead", f"{'; '.join(found.themes)}; the parent has {len(known)} such alarms.")


def _network(parts: Parts) -> Backbone:
    return FAMILIES[parts.config.family].from_weights(parts.config, parts.weights)
