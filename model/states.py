"""User vectors along histories: histories cut into windows, windows into batches, one pass each.

Knows: how much history a state may read, and where it stands. Does not know: items to rank, protocols.

One pass per user is enough: the state after event i knows no later event, so encoding a history once answers
every question asked along it. A window holds the newest 200 to 264 events, as a served sequence does; a
network with a shorter max_events reads no more than that.
"""

# n = events of all histories, T = needed states of a batch, M = streams, d = their width, D = M * d

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.backbone import Backbone
from model.batch import padded
from model.sequences import Histories

IntArray = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

#: A full window is cut down to this many events, as the worker does between sessions.
KEPT_EVENTS = 200
#: Padded positions encoded at once: bounds memory, no effect on results.
MAX_POSITIONS = 16_384


@dataclass(frozen=True, slots=True)
class Window:
    """Part of one user's history, and which of its states are read."""

    start: int  # into Histories.rows
    stop: int
    first_state: int  # states after the events at [first_state, stop) are read


@dataclass(frozen=True, slots=True)
class States:
    """States of a batch and their user vectors, each with the event it comes after."""

    after_T: IntArray  # into Histories.rows
    states_TMd: Tensor  # on the network's device
    vectors_TD: Tensor


def states_before(events: Histories, asked_n: Mask) -> Mask:
    """(n,) after which events a state is needed to answer for the asked ones (n,); a user's first event has
    no state before it."""
    needed_n = np.append(asked_n[1:], False)
    needed_n[events.starts[1:] - 1] = False
    return needed_n


def windows(events: Histories, needed_n: Mask, max_events: int) -> Iterator[Window]:
    """Windows that hold every needed state once; what lies between needed ones comes along.

    Each state sees its newest KEPT_EVENTS or more events, or all that ``max_events`` allows.
    """
    kept = min(KEPT_EVENTS, max_events)
    for start, end in zip(events.starts[:-1].tolist(), events.starts[1:].tolist(), strict=True):
        needed = np.flatnonzero(needed_n[start:end])
        if not len(needed):
            continue
        state, stop = start + int(needed[0]), start + int(needed[-1]) + 1
        while state < stop:
            begin = max(start, state - kept + 1)
            until = min(stop, begin + max_events)
            yield Window(begin, until, state)
            state = until


def batched(found: Iterable[Window]) -> Iterator[list[Window]]:
    """Windows of similar length together, at most MAX_POSITIONS padded positions at once."""
    batch: list[Window] = []
    for window in sorted(found, key=lambda window: window.start - window.stop):
        longest = batch[0].stop - batch[0].start if batch else 0
        if batch and longest * (len(batch) + 1) > MAX_POSITIONS:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def states(model: Backbone, events: Histories, needed_n: Mask) -> Iterator[States]:
    """User vectors after the needed events (n,), in batches by length, not by time.

    The network is left in evaluation mode. One with query_time "next" is told the time of the user's
    following event, or the newest event's own time where none follows.
    """
    max_events = model.config.max_events
    ahead_ms = np.append(events.times_ms[1:], 0)
    ahead_ms[events.starts[1:] - 1] = events.times_ms[events.starts[1:] - 1]
    model.eval()
    for batch in batched(windows(events, needed_n, max_events)):
        cuts = [slice(window.start, window.stop) for window in batch]
        inputs = padded([(events.rows[cut], events.times_ms[cut]) for cut in cuts], max_events)
        inputs = inputs.to(model.items.device)
        asked = padded([(events.rows[cut], ahead_ms[cut]) for cut in cuts], max_events)
        line_T = np.repeat(np.arange(len(batch)), [window.stop - window.first_state for window in batch])
        after_T = np.concatenate([np.arange(window.first_state, window.stop) for window in batch])
        line_T, after_T = line_T[needed_n[after_T]], after_T[needed_n[after_T]]
        begins = np.array([window.start for window in batch])
        with torch.inference_mode():
            encoded = model.encode(
                inputs.rows_BN, inputs.times_BN, inputs.lengths_B, asked.times_BN.to(model.items.device)
            )
            chosen = encoded.states_BNMd[torch.from_numpy(line_T), torch.from_numpy(after_T - begins[line_T])]
            yield States(after_T, chosen, model.vectors(chosen))
