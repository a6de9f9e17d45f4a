"""Sequences → padded rows, times, lengths: the only padding in the project.

Knows: the oldest event stands at index 0, padding (row 0, time 0) on the right, long sequences keep their
newest events.
Does not know: item ids, vectors, which network reads the batch.
"""

# B = sequences, N = padded length

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.config import PADDING_ROW

#: One sequence: catalogue rows and event times in Unix ms, both in arrival order and of one length.
Events = tuple[Sequence[int] | np.ndarray, Sequence[int] | np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Padded sequences on one device."""

    rows_BN: Tensor  # int64 catalogue rows
    times_BN: Tensor  # int64 Unix ms
    lengths_B: Tensor  # int64, 0 for an empty sequence

    def to(self, device: torch.device | str) -> Batch:
        return Batch(
            rows_BN=self.rows_BN.to(device),
            times_BN=self.times_BN.to(device),
            lengths_B=self.lengths_B.to(device),
        )


def padded(sequences: Sequence[Events], max_events: int) -> Batch:
    """Pad to the longest of these sequences, at least 1, after cutting each to its newest ``max_events``.

    Raises ValueError when a sequence has not as many times as rows.
    """
    cut = [(rows[-max_events:], times[-max_events:]) for rows, times in sequences]
    lengths_B = np.array([len(rows) for rows, _ in cut], dtype=np.int64)
    longest = max(1, int(lengths_B.max(initial=0)))
    rows_BN = np.full((len(cut), longest), PADDING_ROW, dtype=np.int64)
    times_BN = np.zeros((len(cut), longest), dtype=np.int64)
    for index, (rows, times) in enumerate(cut):
        if len(rows) != len(times):
            raise ValueError(f"sequence {index} has {len(rows)} rows and {len(times)} times")
        rows_BN[index, : len(rows)] = rows
        times_BN[index, : len(rows)] = times
    return Batch(
        rows_BN=torch.from_numpy(rows_BN),
        times_BN=torch.from_numpy(times_BN),
        lengths_B=torch.from_numpy(lengths_B),
    )


def valid_mask(lengths_B: Tensor, num_positions: int) -> Tensor:
    """(B, N) bool: which positions hold an event."""
    return torch.arange(num_positions, device=lengths_B.device) < lengths_B[:, None]
