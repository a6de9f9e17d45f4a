"""Versions held against each other on a slice; lines for items that the serving one has no row for.

Knows: how a version's ranks come about: alone, and in a served sum over the memory as the slice found it.
Does not know: who is compared with whom and why, what follows, files.

Every judged event is ranked over the whole catalogue. The weight of the sum is the leader's first one, for
all versions alike: the live leader is a scorer's, and there may be several.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from model.blend import EPSILON
from model.evaluate import judged_events
from model.exposure import Exposure
from model.families import FAMILIES
from model.gate import Evidence, Ranks
from model.gate_ranks import evidence, frozen_version
from model.leader import Leaders
from model.learner import Learner
from model.memory import Memory
from model.names import Arrays
from model.prequential import in_order
from model.provisional import ProvisionalConfig
from model.slices import Part, Serving
from model.sums import WEIGHTS
from model.version import Version
from stream.lessons import Slice

ROWS: Final = ProvisionalConfig()

#: What is compared: weights that are learned just now, or a version.
Contender = Learner | Version


def compared(
    new: Contender,
    serving: Version,
    anchor: Version | None,
    taken: Slice,
    memory: Memory,
    *,
    filter_seen: bool,
) -> Evidence | None:
    """Ranks of the slice's judged events; None where there are none. ``memory`` is not changed."""
    columns, first = taken.columns()
    if not len(judged_events(columns, first)):
        return None
    met = [
        None if one is None else frozen_version(*_parts(one), columns, first)
        for one in (new, serving, anchor)
    ]
    assert met[0] is not None
    assert met[1] is not None
    return evidence(
        met[0],
        met[1],
        met[2],
        columns,
        first,
        copy.deepcopy(memory),
        Leaders(len(WEIGHTS)),
        epsilon=EPSILON,
        filter_seen=filter_seen,
    )


def lines_of(
    taken: Slice, serving: Version, exposure: Exposure | None, *, filter_seen: bool
) -> tuple[dict[str, Any], Exposure]:
    """Item → provisional line (D,) of each item of the slice that the version has no row for, as high as its
    clicks place it; and the exposure that goes on with the next slice, as ``exposure`` does from the last."""
    if all(click.item in serving.catalogue for click in taken.clicks):
        exposure = exposure or exposure_of(serving)
        for _ in taken.clicks:
            exposure.clicked(None)
        return {}, exposure
    columns, first = taken.columns()
    model = FAMILIES[serving.config.family].from_weights(serving.config, serving.weights)
    live_A = np.asarray(serving.popularity) > 0
    of = Serving(model, serving.catalogue, live_A, first)
    part = Part(of, columns, first, len(columns), {}, ROWS, exposure)
    seen: dict[int, list[int]] = {}
    for place, (user, item, _) in enumerate(in_order(columns)):
        if place >= first:
            if user in seen:
                part.listed(place, seen[user], filter_seen)
                part.learn(place, item)
            else:
                part.passed(item)
        seen.setdefault(user, []).append(item)
    part.rows.settle()
    lines = {item: line.copy() for item, line in zip(part.rows.items, part.rows.lines, strict=True)}
    return lines, part.rows.exposure


def exposure_of(serving: Version, arrays: Arrays | None = None) -> Exposure:
    """A fresh one for rows of this version, or the one of a snapshot. Raises KeyError, ValueError."""
    shape = serving.config.streams, serving.config.stream_dim
    return Exposure(shape, ROWS.worth) if arrays is None else Exposure.from_arrays(arrays, shape, ROWS.worth)


def evidence_arrays(found: Evidence) -> dict[str, Any]:
    """Evidence as what a snapshot can hold."""
    ranks = {
        f"{role}.{what}": getattr(getattr(found, role), f"{what}_E").tolist()
        for role in ("new", "serving", "anchor")
        if getattr(found, role) is not None
        for what in ("alone", "fused")
    }
    return {"users": found.users_E.tolist(), "slices": found.slices, **ranks}


def evidence_of(told: Mapping[str, Any] | None) -> Evidence | None:
    """`evidence_arrays` back."""
    if told is None:
        return None
    ranks = {
        role: Ranks(
            alone_E=np.array(told[f"{role}.alone"], np.float64),
            fused_E=np.array(told[f"{role}.fused"], np.float64),
        )
        for role in ("new", "serving", "anchor")
        if f"{role}.alone" in told
    }
    return Evidence(
        users_E=np.array(told["users"]),
        new=ranks["new"],
        serving=ranks["serving"],
        anchor=ranks.get("anchor"),
        slices=told["slices"],
    )


def _parts(one: Contender) -> tuple[Any, Any, Any]:
    if isinstance(one, Learner):
        return one.model.config, one.items.catalogue(), one.weights()
    return one.config, one.catalogue, one.weights
