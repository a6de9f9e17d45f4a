"""Versions held against each other on a slice of the stream.

Knows: how a version's ranks come about: alone, and in a served sum over the memory as the slice found it.
Does not know: who is compared with whom and why, what follows, files.

Every judged event is ranked over the whole catalogue. The weight of the sum is the leader's first one, for
all versions alike: the live leader is a scorer's, and there may be several.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from model.blend import EPSILON
from model.evaluate import judged_events
from model.gate import Evidence, Ranks
from model.gate_ranks import evidence, frozen_version
from model.leader import Leaders
from model.learner import Learner
from model.memory import Memory
from model.sums import WEIGHTS
from model.version import Version
from stream.lessons import Slice

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
