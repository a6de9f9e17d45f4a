"""What the facet gate learns from where several sequences are fused: states of MoS, and what came next.

Knows: cuts, fused states. Does not know: the gate (model/facets.py), which cuts matter, training of MoS.
"""

# T = cuts, M = streams, d = stream width

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from model.evaluate import seen_before
from model.facets import Moments
from model.mos_ranks import by_users
from model.mos_reading import Reader

IntArray = npt.NDArray[np.int64]


def fused_moments(reader: Reader, cuts_T: IntArray) -> Moments:
    """The fused states at these ascending cuts, which user vectors are made of, and the rows after them; what
    a user had is out of the question."""
    reader.mos.eval()
    config = reader.backbone.config
    parts = [torch.zeros(0, config.streams, config.stream_dim, device=reader.device)]
    with torch.inference_mode():
        for users, some_T in by_users(reader, cuts_T):
            parts.append(reader.read(reader.route(users), some_T).fused.states_TMd)
    seen = seen_before(reader.events, cuts_T + 1)
    return Moments(torch.cat(parts), reader.events.rows[cuts_T + 1], seen)
