"""What a published version is made of: parameters by part, how far each embedding table collapsed, which
items lie side by side, what a theme holds.

Knows: a version's arrays. Imports no torch.
Does not know: histories, titles, who asks.
"""

# I = items, D = width, M = streams, d = D / M, K = themes

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model.config import FIRST_ITEM_ROW
from model.version import Version

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Arrays of a network that belong together."""

    name: str  # what stands before the last dot of their names; where there is none, the name
    shapes: dict[str, tuple[int, ...]]  # what stands after it → shape
    parameters: int  # values in all of them


def parts(weights: Mapping[str, npt.NDArray[Any]]) -> list[Part]:
    """The network by part, in order of names."""
    arrays: dict[str, dict[str, tuple[int, ...]]] = {}
    for name in sorted(weights):
        part, _, rest = name.rpartition(".")
        arrays.setdefault(part or name, {})[rest] = weights[name].shape
    return [
        Part(name=name, shapes=shapes, parameters=sum(int(np.prod(shape)) for shape in shapes.values()))
        for name, shapes in sorted(arrays.items())
    ]


def abundance(table_Id: FloatArray) -> float:
    """Information abundance: the sum of the singular values over the largest (Guo et al., arXiv 2310.04400).
    Between 1, all rows on one line, and d, no direction stronger than another; 0 for zeros.
    """
    wide_Id = table_Id.astype(np.float64)
    squares_d = np.linalg.eigvalsh(wide_Id.T @ wide_Id)  # d of them, however many items there are
    values_d = np.sqrt(np.maximum(squares_d, 0))
    return float(values_d.sum() / values_d.max()) if values_d.max(initial=0) > 0 else 0.0


def abundances(version: Version) -> list[float]:
    """Per stream: information abundance of its table of real items, as trained, not normalised."""
    items_IMd = version.weights["items"][FIRST_ITEM_ROW:]
    return [abundance(items_IMd[:, stream]) for stream in range(items_IMd.shape[1])]


def cosines(version: Version, place: int) -> tuple[FloatArray, FloatArray]:
    """(I,) and (I, M): cosine of each item's line to that of the item at ``place``, overall and by stream."""
    streams = version.config.streams
    lines_IMd = np.asarray(version.index).reshape(len(version.index), streams, -1)
    by_stream_IM = np.stack([_cosine(lines_IMd[:, stream], place) for stream in range(streams)], axis=1)
    return _cosine(np.asarray(version.index), place), by_stream_IM


def nearest(cosine_I: FloatArray, place: int, num: int) -> list[int]:
    """Places of the ``num`` items with the largest cosines but ``place`` itself; ties go to the lowest."""
    order = np.argsort(-cosine_I, kind="stable")
    return [int(other) for other in order[: num + 1] if other != place][:num]


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """What one theme holds: items whose largest logit is its own (ties: the lowest theme)."""

    number: int
    label: str
    items: IntArray  # places in the catalogue, ascending
    share_of_items: float
    share_of_events: float  # of the events trained on; 0 where none were counted


def themes(version: Version) -> list[Theme]:
    """Every theme of the version, by number."""
    theme_I = version.themes.logits_IK.argmax(axis=1)
    total = int(version.popularity.sum())
    found = []
    for number, label in enumerate(version.themes.labels):
        items = np.flatnonzero(theme_I == number)
        events = int(version.popularity[items].sum())
        found.append(
            Theme(
                number=number,
                label=label,
                items=items,
                share_of_items=len(items) / len(theme_I),
                share_of_events=events / total if total else 0.0,
            )
        )
    return found


def margin(logits_IK: FloatArray) -> FloatArray:
    """(I,) lead of each item's largest logit over its second; the logit itself where there is one theme."""
    if logits_IK.shape[1] == 1:
        return logits_IK[:, 0]
    best_I2 = np.partition(logits_IK, logits_IK.shape[1] - 2, axis=1)[:, -2:]
    lead_I: FloatArray = best_I2[:, 1] - best_I2[:, 0]
    return lead_I


def rank_of(popularity_I: IntArray, place: int) -> int:
    """How many items have more events than this one, plus one."""
    return int((popularity_I > popularity_I[place]).sum()) + 1


def _cosine(lines_ID: FloatArray, place: int) -> FloatArray:
    norm_I = np.maximum(np.linalg.norm(lines_ID, axis=1), 1e-6)
    cosine_I: FloatArray = (lines_ID @ lines_ID[place]) / (norm_I * norm_I[place])
    return cosine_I
