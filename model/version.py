"""One version in memory: what training hands over, and what the registry gives back.

Knows: weights as numpy arrays, catalogue, index, themes, popularity, manifest; how they must fit together.
Does not know: files, torch, Kafka.
"""

# I = items, D = width of the index, M = streams, d = D / M, K = themes, S = kinds, L = blocks
# F = width of a gate: channels * d, r = rank, X = what the fusion looks at

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from model.catalogue import Catalogue
from model.config import KINDS, ModelConfig, MoSConfig, TrainConfig
from model.errors import CatalogueMismatch, VersionDamaged
from model.themes import ThemeTable

Weights = dict[str, npt.NDArray[np.float32]]
Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MoSWeights:
    """What MoS adds to a network (mos.MoS), as arrays."""

    config: MoSConfig
    weights: dict[str, npt.NDArray[Any]]  # MoS.weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Offsets:
    """Which events made a version and which ones judged it, by partition; inclusive.

    They mean something on one generation of the topic alone: once it is deleted and made anew, the same
    numbers are other events.

    Raises ValueError where an event did both: a version is never judged by what it was trained on.
    """

    topic_id: str  # of the events topic, a new one for each generation
    trained_through: dict[int, int]  # the newest event that was read for training
    judged_by: dict[int, tuple[int, int]] = field(default_factory=dict)  # first and last event of the slice

    def __post_init__(self) -> None:
        for partition, (first, _) in self.judged_by.items():
            if first <= self.trained_through.get(partition, -1):
                raise ValueError(
                    f"partition {partition}: judged from offset {first}, but trained through "
                    f"{self.trained_through[partition]}"
                )

    def to_json(self) -> dict[str, Any]:
        return {
            "topic_id": self.topic_id,
            "trained_through": {str(partition): last for partition, last in self.trained_through.items()},
            "judged_by": {str(partition): list(span) for partition, span in self.judged_by.items()},
        }


def trained_through(manifest: Mapping[str, Any], topic_id: str) -> dict[int, int]:
    """Partition → newest offset on this topic that a version was trained through, by its manifest; empty for
    a training from a file or from another generation of the topic."""
    offsets = manifest["offsets"]
    if offsets is None or offsets.get("topic_id") != topic_id:
        return {}
    return {int(partition): last for partition, last in offsets["trained_through"].items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """Everything a publication needs."""

    config: ModelConfig
    train_config: TrainConfig
    catalogue: Catalogue
    weights: Weights  # the network's state dict
    index: npt.NDArray[np.float32]  # (I, D): lines to multiply a user vector with
    themes: ThemeTable
    popularity: npt.NDArray[np.int64]  # (I,) events per item
    learning_curve: list[dict[str, float]]  # one record per epoch
    metrics: dict[str, float]
    num_events: int  # trained on
    data_digest: str  # sequences.data_digest of them
    parent: str | None = None  # version it was trained on from
    gate: dict[str, Any] | None = None  # gate.Decision.to_json; None where no gate was asked
    offsets: Offsets | None = None  # of the events topic; None for a training from a file
    mos: MoSWeights | None = None  # None: the version reads what its config says, and averages
    memory: Arrays | None = None  # cooccurrence.seed_arrays of the warm start, for a scorer that has none


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A published version, checked."""

    name: str  # "000001"
    epoch: int  # of the registry when loaded, if this version serves; else 0
    manifest: dict[str, Any]
    config: ModelConfig
    catalogue: Catalogue
    weights: Weights
    index: npt.NDArray[np.float32]  # (I, D), mapped from the file; written to, it changes in memory only
    themes: ThemeTable
    popularity: npt.NDArray[np.int64]  # (I,)
    learning_curve: list[dict[str, float]] = field(default_factory=list)
    mos: MoSWeights | None = None


def check_fit(
    name: str,
    config: ModelConfig,
    catalogue: Catalogue,
    weights: Weights,
    index: npt.NDArray[np.float32],
    popularity: npt.NDArray[np.int64],
) -> None:
    """Weights, catalogue, index and popularity describe the same items in the shape of ``config``.

    Raises CatalogueMismatch when the numbers of items differ, VersionDamaged for other shapes or values that
    are no numbers.
    """
    num_items = len(catalogue)
    rows = weights.get("items")
    if rows is None or rows.shape[1:] != (config.streams, config.stream_dim):
        raise VersionDamaged(f"{name}/weights.safetensors: no item rows of shape (streams, dim / streams).")
    if rows.shape[0] != catalogue.num_rows:
        raise CatalogueMismatch(
            f"{name}: {rows.shape[0]} item rows for a catalogue of {catalogue.num_rows} rows."
        )
    if index.shape != (num_items, config.dim):
        raise VersionDamaged(f"{name}/index.npy: shape {index.shape}, expected {(num_items, config.dim)}.")
    if popularity.shape != (num_items,):
        raise VersionDamaged(f"{name}/popularity.npy: shape {popularity.shape}, expected {(num_items,)}.")
    for weight, array in weights.items():
        if not np.isfinite(array).all():
            raise VersionDamaged(f"{name}/weights.safetensors: {weight} holds values that are no numbers.")
    if not np.isfinite(index).all():
        raise VersionDamaged(f"{name}/index.npy holds values that are no numbers.")


def check_mos(name: str, config: ModelConfig, themes: ThemeTable, mos: MoSWeights) -> None:
    """MoS, network and theme table fit together, and what is published can be served.

    Raises VersionDamaged.
    """
    of_file = f"{name}/mos.safetensors"
    if config.family != "fuxi-mme" or mos.config.routing != "sessions":
        raise VersionDamaged(f"{of_file}: only themes of sessions over fuxi-mme are served.")
    if themes.logits_IK.shape[1] != mos.config.num_themes:
        raise VersionDamaged(
            f"{of_file}: {mos.config.num_themes} themes, {themes.logits_IK.shape[1]} in the table."
        )
    found = {weight: array.shape for weight, array in mos.weights.items()}
    expected = _mos_shapes(config, mos.config)
    wrong = sorted(weight for weight in found.keys() | expected if found.get(weight) != expected.get(weight))
    if wrong:
        told = ", ".join(f"{weight} {found.get(weight)} for {expected.get(weight)}" for weight in wrong)
        raise VersionDamaged(f"{of_file}: {told}.")
    for weight, array in mos.weights.items():
        if not np.isfinite(array).all():
            raise VersionDamaged(f"{of_file}: {weight} holds values that are no numbers.")


def _mos_shapes(config: ModelConfig, mos: MoSConfig) -> dict[str, tuple[int, ...]]:
    D, d, L, K, S, r = config.dim, config.stream_dim, config.blocks, mos.num_themes, len(KINDS), mos.rank
    F = (3 if config.semantic else 2) * d
    return {
        "router.w_r_DD": (D, D),
        "router.c_KD": (K, D),
        "adapters.down_SLdr": (S, L, d, r),
        "adapters.up_SLrF": (S, L, r, F),
        "w_f_XS": (S * D + K + S, S),
        "b_f_S": (S,),
        "generation_K": (K,),
    }
