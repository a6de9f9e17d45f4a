"""Protocols by name: the stages that each cuts a data set into, and its baselines.

Knows: which protocols there are and what each one fixes. Does not know: training, printing, files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from model.columns import EventColumns
from model.leave_one_out import leave_one_out
from model.stages import Answered, Stage, answer_popular
from model.time_split import TEST_FROM, cut_at, live_popularity, time_split
from ops.evaluation.choices import Protocol
from stream.windows import GLOBAL_MAX

#: Leave-one-out reads this many of a user's newest events, as the papers on Amazon's data do, and trains on
#: windows of as many, cut from the whole history.
LOO_EVENTS = 50

#: Fields of a recipe that a protocol fixes, unless they are named.
DEFAULTS: Mapping[Protocol, Mapping[str, Any]] = {
    Protocol.LOO: {"max_events": LOO_EVENTS, "window": LOO_EVENTS},
    Protocol.TIME: {},
    Protocol.PREQUENTIAL: {},
    Protocol.MOS: {"max_events": GLOBAL_MAX},  # a global sequence is that long
}


def stages_of(
    protocol: Protocol, columns: EventColumns, validation_users: int, filter_seen: bool, refit: bool
) -> list[Stage]:
    """Each stage after the first trains for as many epochs as were best in the first; without ``refit`` there
    is only one.

    Raises NotEnoughData when the events cannot be cut so.
    """
    match protocol:
        case Protocol.LOO:
            stages = leave_one_out(columns, validation_users, filter_seen)
        case Protocol.TIME:
            stages = time_split(columns, validation_users, filter_seen)
        case _:
            raise ValueError(f"{protocol} has no variants")
    return stages if refit else stages[:1]


def baselines_of(protocol: Protocol, columns: EventColumns, stage: Stage) -> dict[str, Answered]:
    """What a network has to beat, by name. On a stream popularity goes on counting, as it would live."""
    match protocol:
        case Protocol.LOO:
            return {"popular": answer_popular(stage)}
        case Protocol.TIME:
            return live_popularity(columns, cut_at(columns, TEST_FROM), stage.filter_seen)
        case _:
            raise ValueError(f"{protocol} answers its baselines event by event")
