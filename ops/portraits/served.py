"""What a user's newest list says of one item's served score, and which history items the memory had it from.

Knows: the fields of a list, the scorer's snapshot. Does not know: how a score is taken apart
(model/explain.py), how it is shown.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.blend import EPSILON
from model.explain import Memories
from model.memory import MemoryConfig
from stream.records import RecommendationList
from stream.scorer_checkpoint import kept_memory


@dataclass(frozen=True, slots=True)
class Served:
    """The sum as it was served, and what to know about it."""

    memories: Memories
    notes: list[str]


def served(
    made: RecommendationList, item: str, history: Sequence[str], snapshot: Path, max_items: int
) -> Served | None:
    """None where the list is no sum of model and memory. ``snapshot``: the folder of the scorer's; its
    memory shares the list's score out over ``history`` (oldest first), as far as it is there."""
    if made.weight is None or made.vector is None:
        return None
    memory = made.memory.get(item, 0.0)
    notes = []
    if memory == 0.0 and made.memory_cut:
        notes.append(f"the list left {made.memory_cut} of the memory's smallest scores out; this may be one")
    shares: dict[str, float] = {}
    if memory > 0:
        kept = kept_memory(snapshot, MemoryConfig(max_items=max_items))
        shares = {} if kept is None else kept.shares(history, item)
        if not shares:
            notes.append("the scorer's snapshot is not here or older: who speaks for the item is not known")
    vector_D = np.frombuffer(base64.b64decode(made.vector), np.float16).astype(np.float32)
    stand_in = next((row.score for row in made.rows if row.item == item), None)
    return Served(
        Memories(
            weight=made.weight,
            epsilon=EPSILON,
            shares=shares,
            memory=memory,
            vector_D=vector_D,
            stand_in=stand_in,
        ),
        notes,
    )
