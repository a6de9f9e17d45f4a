"""What learns, made of a published version: with fresh optimisers, or as it was kept.

Knows: how a version becomes a learner. Does not know: cycles, files, Kafka.
"""

from __future__ import annotations

from model.finetune import TuneConfig
from model.learner import Learner
from model.names import Arrays
from model.successor import train_config_of
from model.version import Version


def learner_of(version: Version, config: TuneConfig) -> Learner:
    """One that begins as a published version, with fresh optimisers; what the version counted counts."""
    recipe = train_config_of(version.manifest)
    made = Learner.from_weights(version.config, version.weights, version.catalogue, config, recipe)
    made.items.count(version.popularity)
    return made


def restored(arrays: Arrays, version: Version, config: TuneConfig) -> Learner:
    """One from its arrays; ``version``: any of its line."""
    return Learner.from_arrays(arrays, version.config, config, train_config_of(version.manifest))
