"""The states of a question's sequences → one state: their mean, or what MoS learned.

Knows: where states stand (model/kinds.py). Does not know: how they were computed, items, ranking.
"""

# B = questions, P = places, S = KINDS, M = streams, d = stream width

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from model.backbone import unit
from model.config import KINDS
from model.kinds import FIRST_THEME, Question, Reads
from model.mos import Fused, MoS
from model.prototypes import NO_THEME


def num_places(reads: Sequence[Reads]) -> int:
    """P: how many states every question of a batch has room for."""
    used = [part.place + 1 for own in reads for part in own.parts]
    return max([FIRST_THEME + 1, *used, *(FIRST_THEME + len(own.themes) for own in reads)])


def averaged(states_BPMd: Tensor, reads: Sequence[Reads]) -> Fused:
    """The mean of what was read, each stream of length 1; shares by kind."""
    views = [[part.view for part in own.parts] for own in reads]
    counts_BS = torch.tensor([[own.count(view) for view in range(len(KINDS))] for own in views])
    shares_BS = counts_BS / counts_BS.sum(1, keepdim=True).clamp_min(1)
    return Fused(unit(states_BPMd.sum(1)), shares_BS.to(states_BPMd))


def fused(
    mos: MoS, states_BPMd: Tensor, questions: Sequence[Question], reads: Sequence[Reads], max_events: int
) -> Fused:
    """What `MoS.fuse` makes of them, zero where nothing was read; ``states_BPMd`` is zero where no part is.

    Weights and lengths are those that the requests state, of at most ``max_events`` events each.
    """
    B, P = states_BPMd.shape[:2]
    lengths = torch.zeros((B, P), dtype=torch.int64)
    themes = torch.full((B, P - FIRST_THEME), NO_THEME)
    weights = torch.zeros((B, P - FIRST_THEME))
    for b, (question, own) in enumerate(zip(questions, reads, strict=True)):
        for part in own.parts:
            lengths[b, part.place] = min(question.lengths[part.kind], max_events)
        for place, (theme, weight) in enumerate(own.themes):
            themes[b, place], weights[b, place] = theme, weight
    lengths, themes, weights = (told.to(states_BPMd.device) for told in (lengths, themes, weights))
    of_themes = lengths[:, FIRST_THEME:]
    themed = mos.themed(states_BPMd[:, FIRST_THEME:], themes, weights, of_themes > 0)
    states_BSMd = torch.cat([states_BPMd[:, :FIRST_THEME], themed.states_TMd[:, None]], dim=1)
    lengths_BS = torch.cat([lengths[:, :FIRST_THEME], of_themes.sum(1, keepdim=True)], dim=1)
    return mos.fuse(states_BSMd, themed.a_TK, lengths_BS)
