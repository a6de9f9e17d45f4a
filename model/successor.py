"""The version that a learner would publish: what it has learned, and what it takes over from its parent.

Knows: which parts of a version follow from the weights and which are carried on.
Does not know: how weights learn (model/learner.py), whether it may serve, files.

Index, popularity and theme logits are made anew for all items. Labels and the number of themes stay the
parent's. A parent's MoS is carried over as it is: its router, low-rank additions and fusion were learned over
the parent's network and are not refreshed; only its theme table is, from the new lines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from model.columns import EventColumns
from model.config import TrainConfig
from model.growth import refreshed_themes
from model.learner import Cycle, Learner
from model.prototypes import item_logits
from model.sequences import data_digest
from model.themes import ThemeTable
from model.version import Offsets, Trained, Version


def successor(
    learner: Learner, parent: Version, cycle: Cycle, learned: EventColumns, offsets: Offsets
) -> Trained:
    """A child of ``parent``, without a gate's decision; ``learned``: the events since, in order."""
    with torch.inference_mode():
        index = learner.model.item_index().float().cpu().numpy().copy()
    catalogue = learner.items.catalogue()
    manifest = parent.manifest
    loss = {} if np.isnan(cycle.loss) else {"loss": cycle.loss}  # nothing had a target
    chained = hashlib.sha256(f"{manifest['data_digest']} {data_digest(learned)}".encode()).hexdigest()
    return Trained(
        config=learner.model.config,
        train_config=train_config_of(manifest),
        catalogue=catalogue,
        weights=learner.weights(),
        index=index,
        themes=_themes(parent, index, learner),
        popularity=learner.items.by_line(learner.items.counts),
        learning_curve=[{**loss, "events": float(cycle.events)}],
        metrics={
            **loss,
            "events": float(cycle.events),
            "targets": float(cycle.targets),
            "replayed": float(cycle.replayed),
            "admitted": float(cycle.admitted),
        },
        num_events=manifest["events"] + len(learned),
        data_digest=chained,
        parent=parent.name,
        offsets=offsets,
        mos=parent.mos,
    )


def train_config_of(manifest: Mapping[str, Any]) -> TrainConfig:
    """The recipe that a version was trained by; settings that are not known here any more are left out."""
    known = TrainConfig.__dataclass_fields__
    return TrainConfig(**{name: value for name, value in manifest["train_config"].items() if name in known})


def _themes(parent: Version, index: np.ndarray[Any, np.dtype[np.float32]], learner: Learner) -> ThemeTable:
    catalogue = learner.items.catalogue()
    if parent.mos is not None:
        router = parent.mos.weights
        logits_IK = item_logits(index, router["router.w_r_DD"], router["router.c_KD"])
        return ThemeTable(catalogue, logits_IK, parent.themes.labels)
    everything = np.arange(len(parent.index))
    return refreshed_themes(parent.themes, np.asarray(parent.index), index, catalogue, everything)
