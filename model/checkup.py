"""Send histories through a network and report how its routers spread them.

Knows: real histories drawn from events, made-up ones drawn by popularity; how many positions at once.
Does not know: what is healthy (model/health.py), files, themes.
"""

# S = histories, B = histories of a batch, N = positions, M = streams, L = layers, T = tokens, E = experts

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.batch import Events, padded, valid_mask
from model.catalogue import Catalogue
from model.columns import EventColumns
from model.config import FIRST_ITEM_ROW
from model.health import Health, router_health
from model.sequences import histories

#: Padded positions encoded at once: bounds memory, no effect on results.
MAX_POSITIONS = 4096
#: Made-up gaps between events: spread evenly over their logarithm, from a second to a week.
GAPS_MS = (1_000, 7 * 24 * 3600 * 1000)


class Routed(Protocol):
    """What an encoding tells of its routers."""

    @property
    def logits_LBNME(self) -> Tensor: ...  # noqa: N802  (a shape suffix)


class Encoder(Protocol):
    """A network that can be looked into."""

    def encode(self, rows_BN: Tensor, times_BN: Tensor, lengths_B: Tensor) -> Routed: ...
    def eval(self) -> object: ...


def check(model: Encoder, sequences: Sequence[Events], max_events: int) -> Health:
    """Route the newest ``max_events`` of each history, without noise, in every stream.

    A token is one position of one stream. The network is left in evaluation mode.
    """
    model.eval()
    parts = list(_routed(model, sequences, max_events))
    if not parts:
        return Health()
    logits_LTE = np.concatenate(parts, axis=1)
    return Health(layers=router_health(logits_LTE, np.ones(logits_LTE.shape[1], bool)))


def _routed(
    model: Encoder, sequences: Sequence[Events], max_events: int
) -> Iterator[npt.NDArray[np.float32]]:
    """(L, T, E) logits of the real positions, batch by batch."""
    for batch in _batched(sequences, max_events):
        inputs = padded(batch, max_events)
        with torch.inference_mode():
            logits_LBNME = model.encode(inputs.rows_BN, inputs.times_BN, inputs.lengths_B).logits_LBNME
            valid_BN = valid_mask(inputs.lengths_B, inputs.rows_BN.shape[1])
            yield logits_LBNME[:, valid_BN].flatten(1, 2).numpy()


def _batched(sequences: Sequence[Events], max_events: int) -> Iterator[list[Events]]:
    batch: list[Events] = []
    for sequence in sorted(sequences, key=lambda sequence: -len(sequence[0])):
        longest = min(len(batch[0][0]), max_events) if batch else 0
        if batch and longest * (len(batch) + 1) > MAX_POSITIONS:
            yield batch
            batch = []
        batch.append(sequence)
    if batch:
        yield batch


def sampled(columns: EventColumns, catalogue: Catalogue, num: int, seed: int) -> list[Events]:
    """The histories of at most ``num`` users, drawn by ``seed``; each oldest first."""
    found = histories(columns, catalogue)
    users = np.random.default_rng(seed).permutation(len(found))[:num]
    return [
        (found.rows[start:stop], found.times_ms[start:stop])
        for start, stop in ((found.starts[user], found.starts[user + 1]) for user in np.sort(users))
    ]


def made_up(popularity_I: npt.NDArray[np.int64], num: int, length: int, seed: int) -> list[Events]:
    """``num`` histories of ``length`` items, each drawn by popularity (evenly if nothing was counted).

    Nobody lives like that: items do not follow from one another. For a look where no events are at hand.
    """
    random = np.random.default_rng(seed)
    weight_I = popularity_I.astype(np.float64)
    weight_I = weight_I if weight_I.sum() > 0 else np.ones(len(weight_I))
    rows_SN = FIRST_ITEM_ROW + random.choice(len(weight_I), (num, length), p=weight_I / weight_I.sum())
    gaps_SN = np.exp(random.uniform(np.log(GAPS_MS[0]), np.log(GAPS_MS[1]), (num, length)))
    times_SN = np.cumsum(gaps_SN, axis=1).astype(np.int64)
    return list(zip(rows_SN, times_SN, strict=True))
