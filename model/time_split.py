"""Global time split: one moment ends training for everybody; what comes later is asked for.

Knows: where the cuts lie, who is asked, clicks and mere impressions. Does not know: networks, files.

Unlike in leave-one-out, nothing that is trained on is later than anything that is asked (Gusak et al., RecSys
2025, call the targets "last" and "successive"). Inputs are a user's true events up to the question, those
after the cut included; weights and catalogue stay those of the training part.
"""

# n = events of all histories, E = questions or impressions, U = users, D = M * d

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from model.backbone import Backbone
from model.catalogue import Catalogue
from model.columns import EventColumns
from model.config import FIRST_ITEM_ROW
from model.errors import NotEnoughData
from model.evaluate import choose_half_life, popularity_ranks
from model.fit import VALIDATION_EVENTS
from model.metrics import FloatArray
from model.sequences import WARM_SHARE, Histories, catalogue_of, histories, hold_out
from model.stages import Answered, IntArray, Mask, Stage, drawn, owners, part_of, questions_at, stage_groups
from model.states import states

#: Quantiles of time: events before the first train stage A, those between validate, those after test.
VALIDATION_FROM = 0.8
TEST_FROM = 0.9


def cut_at(columns: EventColumns, quantile: float) -> int:
    """Number of events before the quantile of time; events of one moment stay together."""
    if not len(columns):
        return 0
    moment_ms = columns.time_ms[min(int(quantile * len(columns)), len(columns) - 1)]
    return int(np.searchsorted(columns.time_ms, moment_ms, side="left"))


def time_split(columns: EventColumns, validation_users: int, filter_seen: bool = True) -> list[Stage]:
    """Stage A trains before the validation slice and validates on each user's last event in it; stage B
    trains on both. Both ask for every later event whose user has an earlier one.

    Groups are those of stage_groups for all questions ("successive ...") and each user's last ("last ...").
    ``validation_users``: A asks this many at most, drawn once for all seeds. Raises NotEnoughData when
    nothing lies before the slice or no question after it.
    """
    early, late = cut_at(columns, VALIDATION_FROM), cut_at(columns, TEST_FROM)
    if early == 0 or late <= early:
        raise NotEnoughData("the events lie in too few moments to be cut in time.")
    none = np.zeros(0, np.int64)
    stages = []
    for variant, cut in (("A", early), ("B", late)):
        catalogue = catalogue_of(columns.slice(0, cut))
        events = histories(columns, catalogue)
        asked = (events.order >= late) & ~_firsts(events)
        if not asked.any():
            raise NotEnoughData("no event after the cut has an earlier one of its user.")
        checked = (events.order >= early) & (events.order < late) & ~_firsts(events)
        places = drawn(_lasts(events, checked), validation_users) if variant == "A" else none
        stage = Stage(
            variant=variant,
            catalogue=catalogue,
            training=part_of(events, events.order < cut),
            validation=questions_at(events, places, filter_seen),
            events=events,
            asked_n=asked,
            groups={},
            filter_seen=filter_seen,
        )
        stages.append(replace(stage, groups=_by_target(columns, stage)))
    return stages


def stream_stage(
    columns: EventColumns, validation_users: int, filter_seen: bool = True, share: float = WARM_SHARE
) -> Stage:
    """The stream protocol for weights that stay: trained on the first ``share``, but for the last event of
    some users, which validates; asked for every later event whose user has an earlier one.

    Groups are those of stage_groups, where an item is new that has no event in the first ``share``. Raises
    NotEnoughData when no such event is left.
    """
    cut = int(share * len(columns))
    warm = columns.slice(0, cut)
    catalogue = catalogue_of(warm)
    events = histories(columns, catalogue)
    training, validation = hold_out(histories(warm, catalogue), validation_users, VALIDATION_EVENTS, seed=0)
    asked = (events.order >= cut) & ~_firsts(events)
    if not asked.any() or not len(training.rows):
        raise NotEnoughData("no event of the stream has an earlier one of its user.")
    stage = Stage(
        variant="frozen",
        catalogue=catalogue,
        training=training,
        validation=validation,
        events=events,
        asked_n=asked,
        groups={},
        filter_seen=filter_seen,
    )
    new_E = ~np.isin(columns.item[events.order[stage.places()]], columns.item[:cut])
    return replace(stage, groups={**stage_groups(columns, stage), "new_item": new_E, "known": ~new_E})


def live_popularity(columns: EventColumns, cut: int, filter_seen: bool) -> dict[str, Answered]:
    """The baselines beside every network on a stream: they learn each event from ``cut`` on once it was asked
    for.

    The half-life of the decayed one is chosen before the cut (evaluate.choose_half_life).
    """
    decayed_ms = choose_half_life(columns, cut, filter_seen)
    return {
        name: Answered(ranks_E=popularity_ranks(columns, cut, half_life_ms, filter_seen), lists=None)
        for name, half_life_ms in (("popular", None), ("popular-decayed", decayed_ms))
    }


def _by_target(columns: EventColumns, stage: Stage) -> dict[str, Mask]:
    groups = stage_groups(columns, stage)
    last_E = np.isin(stage.places(), _lasts(stage.events, stage.asked_n))
    return {
        **{f"successive {name}": mask_E for name, mask_E in groups.items()},
        **{f"last {name}": mask_E & last_E for name, mask_E in groups.items()},
    }


def _firsts(events: Histories) -> Mask:
    """(n,) whether an event is its user's first."""
    first = np.zeros(len(events.rows), bool)
    first[events.starts[:-1]] = True
    return first


def _lasts(events: Histories, chosen_n: Mask) -> IntArray:
    """Place of each user's last chosen event."""
    places = np.flatnonzero(chosen_n)
    whose = owners(events, places)
    last = np.ones(len(places), bool)
    last[:-1] = whose[1:] != whose[:-1]
    lasts: IntArray = places[last]
    return lasts


def impression_scores(model: Backbone, stage: Stage, shown: EventColumns, before_E: IntArray) -> FloatArray:
    """(E,) score of each shown item in its user's state at that moment; NaN for a user without an event
    before, or an item outside the catalogue.

    ``shown``: impressions, clicked or not, under the vocabularies of the stage's columns. ``before_E``: how
    many of the columns' events came before each.
    """
    events = stage.events
    after_E, lines_E = candidates(events, stage.catalogue, shown, before_E)
    scores_E = np.full(len(shown), np.nan)
    able = np.flatnonzero((after_E >= 0) & (lines_E >= 0))
    able = able[np.argsort(after_E[able], kind="stable")]
    needed_n = np.zeros(len(events.rows), bool)
    needed_n[after_E[able]] = True
    index_ID = model.item_index().detach()
    for found in states(model, events, needed_n):
        order = np.argsort(found.after_T)
        left = np.searchsorted(after_E[able], found.after_T[order], side="left")
        right = np.searchsorted(after_E[able], found.after_T[order], side="right")
        which = np.repeat(order, right - left)
        asked = np.concatenate([able[start:stop] for start, stop in zip(left, right, strict=True)])
        vectors_TD = found.vectors_TD[torch.from_numpy(which)]
        items_TD = index_ID[torch.from_numpy(lines_E[asked])]
        scores_E[asked] = (vectors_TD * items_TD).sum(1).cpu().numpy()
    return scores_E


def candidates(
    events: Histories, catalogue: Catalogue, shown: EventColumns, before_E: IntArray
) -> tuple[IntArray, IntArray]:
    """What each impression (E,) asks: (place of its user's newest event before it, line of its item in the
    index), -1 where there is none."""
    lines_I = np.full(len(shown.items), -1)
    for code in np.unique(shown.item).tolist():
        if shown.items[code] in catalogue:
            lines_I[code] = catalogue.row(shown.items[code]) - FIRST_ITEM_ROW
    return _newest_before(events, shown.user, before_E), lines_I[shown.item]


def _newest_before(events: Histories, user_E: npt.NDArray[np.int32], before_E: IntArray) -> IntArray:
    """(E,) place of the user's newest event among the first ``before_E`` of the columns, or -1."""
    found = np.full(len(user_E), -1)
    at = np.searchsorted(events.users, user_E)
    known = (at < len(events)) & (events.users[np.minimum(at, len(events) - 1)] == user_E)
    for place in np.flatnonzero(known).tolist():
        start, end = events.starts[at[place]], events.starts[at[place] + 1]
        num = int(np.searchsorted(events.order[start:end], before_E[place]))
        found[place] = start + num - 1 if num else -1
    return found
