"""Leave-one-out, for comparison with papers: a user's last event is the test, the one before it validation.

Knows: who is asked and what each variant may train on. Does not know: networks, metrics, files.

The order of a user's events is that of the columns: by time, ties in the order of the file (the papers' code
sorts unstably and so shuffles events of one second). The catalogue holds every item of the set, those that
occur as a test target alone included. Later events of other users are trained on: good for comparing
networks, no estimate of what a running system would reach.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from model.columns import EventColumns
from model.errors import NotEnoughData
from model.sequences import catalogue_of, histories
from model.stages import Stage, drawn, part_of, questions_at, stage_groups

#: A user with fewer events is trained on and never asked about.
MIN_HISTORY = 3


def leave_one_out(columns: EventColumns, validation_users: int, filter_seen: bool = True) -> list[Stage]:
    """Stage A trains without the last two events of each user and validates on the second-to-last; stage B
    trains without the last. Both ask for the last.

    ``validation_users``: A asks this many at most, drawn once for all seeds. Raises NotEnoughData without a
    user of three events.
    """
    catalogue = catalogue_of(columns)
    events = histories(columns, catalogue)
    asked_users = events.lengths() >= MIN_HISTORY
    if not asked_users.any():
        raise NotEnoughData("no user has three events: one to learn from, one to validate, one to test.")
    tests = events.starts[1:][asked_users] - 1
    last = np.zeros(len(columns), bool)
    last[tests] = True
    second = np.zeros(len(columns), bool)
    second[tests - 1] = True
    none = np.zeros(0, np.int64)
    kept = {"A": ~last & ~second, "B": ~last}
    checked = {"A": drawn(tests - 1, validation_users), "B": none}
    stages = [
        Stage(
            variant=variant,
            catalogue=catalogue,
            training=part_of(events, kept[variant]),
            validation=questions_at(events, checked[variant], filter_seen),
            events=events,
            asked_n=last,
            groups={},
            filter_seen=filter_seen,
        )
        for variant in kept
    ]
    return [replace(stage, groups=stage_groups(columns, stage)) for stage in stages]
