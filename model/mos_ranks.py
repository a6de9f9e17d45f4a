"""Where the next event's item ranks by MoS at any moment, what given items score: candidate-free or aware.

Knows: cuts, their targets, the whole catalogue. Does not know: training, which cuts matter, variants.
"""

# T = cuts, E = questions about one item, I = items, K = themes, M = streams, d = stream width, D = M * d
# J = themes read at a cut

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.adapters import KINDS
from model.config import FIRST_ITEM_ROW
from model.evaluate import seen_before, target_ranks
from model.mos_reading import Reader, Routed, Views
from model.prototypes import NO_THEME, Chosen, choose_for

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

#: Cuts answered together: bounds memory, no effect on results.
MAX_CUTS = 4096


def ranks_at(
    reader: Reader, cuts_T: IntArray, *, filter_seen: bool = True, aware: bool = False
) -> FloatArray:
    """(T,) rank of the event after each of these ascending cuts; it must be the same user's.

    The whole catalogue is ranked; ``filter_seen`` takes what the user had up to the cut out. ``aware``: a
    candidate is scored by the vector that also reads the candidate's own theme.
    """
    reader.mos.eval()
    ranks: list[FloatArray] = []
    with torch.inference_mode():
        index_ID = reader.backbone.item_index()
        for users, some_T in by_users(reader, cuts_T):
            routed = reader.route(users)
            views = reader.read(routed, some_T)
            seen = seen_before(reader.events, some_T + 1) if filter_seen else None
            targets_T = reader.events.rows[some_T + 1] - FIRST_ITEM_ROW
            if aware:
                ranks.append(_aware_ranks(reader, routed, views, some_T, index_ID, targets_T, seen))
            else:
                vectors_TD = reader.backbone.vectors(views.fused.states_TMd)
                ranks.append(target_ranks(vectors_TD, index_ID, targets_T, seen))
    return np.concatenate(ranks) if ranks else np.zeros(0)


def scores_at(reader: Reader, after_E: IntArray, lines_E: IntArray, *, aware: bool = False) -> FloatArray:
    """(E,) score of each line of the index right after an event, its place in the histories; NaN where either
    is -1; ``aware`` as in ranks_at."""
    reader.mos.eval()
    scores_E = np.full(len(after_E), np.nan)
    able = np.flatnonzero((after_E >= 0) & (lines_E >= 0))
    able = able[np.argsort(after_E[able], kind="stable")]
    with torch.inference_mode():
        index_ID = reader.backbone.item_index()
        theme_I = _themes_of_items(reader)
        for users, some_T in by_users(reader, np.unique(after_E[able])):
            routed = reader.route(users)
            views = reader.read(routed, some_T)
            made = aware_states(reader, routed, views, some_T) if aware else [views.fused.states_TMd]
            vectors_TKD = torch.stack([reader.backbone.vectors(states_TMd) for states_TMd in made], dim=1)
            first, stop = np.searchsorted(after_E[able], [some_T[0], some_T[-1] + 1])
            mine = able[first:stop]
            at = torch.from_numpy(np.searchsorted(some_T, after_E[mine]))
            lines = torch.from_numpy(lines_E[mine])
            vectors_eD = vectors_TKD[at, theme_I[lines]] if aware else vectors_TKD[at, 0]
            scores_E[mine] = (vectors_eD * index_ID[lines]).sum(1).cpu().numpy()
    return scores_E


def cuts_before(reader: Reader, asked_n: npt.NDArray[np.bool_]) -> IntArray:
    """Cuts right before the asked events (n,), but users' first ones; ascending."""
    asked = asked_n.copy()
    asked[reader.events.starts[:-1]] = False
    return np.flatnonzero(asked) - 1


def by_users(reader: Reader, cuts_T: IntArray) -> Iterator[tuple[IntArray, IntArray]]:
    """(users, their cuts): whole users while they fit, in order."""
    user_T = np.searchsorted(reader.events.starts, cuts_T, side="right") - 1
    at = 0
    while at < len(cuts_T):
        stop = min(at + MAX_CUTS, len(cuts_T))
        if stop < len(cuts_T) and user_T[stop] != user_T[at]:
            stop = int(np.searchsorted(user_T, user_T[stop]))
        yield np.unique(user_T[at:stop]), cuts_T[at:stop]
        at = stop


def _aware_ranks(
    reader: Reader,
    routed: Routed,
    views: Views,
    cuts_T: IntArray,
    index_ID: Tensor,
    targets_T: IntArray,
    seen: list[IntArray] | None,
) -> FloatArray:
    """Each item is scored by the user vector for its own theme: the line of K vectors side by side, of which
    an item's long line meets one."""
    num_themes, dim = reader.mos.config.num_themes, index_ID.shape[1]
    theme_I = _themes_of_items(reader)
    vectors = [
        reader.backbone.vectors(states_TMd) for states_TMd in aware_states(reader, routed, views, cuts_T)
    ]
    long_TX = torch.cat(vectors, dim=1)
    long_IX = torch.zeros(len(index_ID), num_themes, dim, device=index_ID.device)
    long_IX[torch.arange(len(index_ID)), theme_I] = index_ID
    return target_ranks(long_TX, long_IX.flatten(1), targets_T, seen)


def _themes_of_items(reader: Reader) -> Tensor:
    """(I,) the theme of an item by itself: its largest logit."""
    theme_I: Tensor = reader.mos.router(reader.unit_RD[FIRST_ITEM_ROW:]).argmax(dim=1)
    return theme_I


def aware_states(reader: Reader, routed: Routed, views: Views, cuts_T: IntArray) -> list[Tensor]:
    """Per theme the fused states (T, M, d) for candidates of that theme; themes where they do not apply are
    not read."""
    num_themes, kinds = reader.mos.config.num_themes, reader.mos.config.kinds
    free = reader.chosen(routed, cuts_T)
    if "theme" not in kinds:
        return [views.fused.states_TMd] * num_themes
    leading_T = free.themes_T2[:, 0]
    every_TK = np.tile(np.arange(num_themes), (len(cuts_T), 1))
    every_TK[(every_TK == leading_T[:, None]) | (leading_T == NO_THEME)[:, None]] = NO_THEME
    states_TJMd, lengths_TJ = reader.theme_states(
        routed, cuts_T, np.concatenate([leading_T[:, None], every_TK], axis=1)
    )
    made = []
    for theme in range(num_themes):
        chosen: Chosen = choose_for(theme, free)
        lengths_T2 = lengths_TJ[:, [0, theme + 1]]
        themed = reader.mos.themed(
            states_TJMd[:, [0, theme + 1]],
            torch.from_numpy(chosen.themes_T2).to(reader.device),
            torch.from_numpy(chosen.weights_T2).to(reader.device, states_TJMd.dtype),
            torch.from_numpy(lengths_T2 > 0).to(reader.device),
        )
        states_TSMd, lengths_TS = views.states_TSMd.clone(), views.lengths_TS.clone()
        at = KINDS.index("theme")
        states_TSMd[:, at] = themed.states_TMd
        lengths_TS[:, at] = torch.from_numpy(lengths_T2.sum(axis=1)).to(reader.device)
        made.append(reader.mos.fuse(states_TSMd, themed.a_TK, lengths_TS).states_TMd)
    return made
