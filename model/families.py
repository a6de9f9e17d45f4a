"""Every network by the name of its family, and the named recipes that were measured.

Knows: which class a configuration means, shapes and training that go together.
Does not know: how any network works, data, files.

All recipes but the served one are for short histories (Amazon): 512 shared negatives, windows of 50, and no
more positions than validation reads. Width, dropout and rates are the prototype's measured ones, unsearched.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from model.backbone import Backbone
from model.config import ModelConfig, TrainConfig
from model.fame import FAME
from model.hstu import HSTU
from model.mme import FuxiMME
from model.sasrec import SASRec

FAMILIES: dict[str, type[Backbone]] = {
    "fuxi-mme": FuxiMME,
    "sasrec": SASRec,
    "hstu": HSTU,
    "fame": FAME,
}


class Recipe(NamedTuple):
    """A network and its training."""

    model: ModelConfig
    train: TrainConfig


def build(config: ModelConfig, num_rows: int) -> Backbone:
    """The network of this configuration, drawn from torch's generator; ``num_rows``: Catalogue.num_rows."""
    return FAMILIES[config.family](config, num_rows)


_SASREC = ModelConfig(
    family="sasrec",
    streams=1,
    experts=1,
    ffn_multiple=1,
    max_events=64,
    dropout=0.5,
    input_dropout=0.5,
)
_FUXI = replace(_SASREC, family="fuxi-mme")
_FAME = replace(
    _SASREC,
    family="fame",
    experts=4,
    facet_gate=True,
    temperature=1.0,  # dot products, as published
    dropout=0.2,  # near the re-implementations' 0.1; a little better than 0.5 on Beauty
    input_dropout=0.2,
)
_LONG = TrainConfig(max_epochs=60, patience=10)  # the FuXi family was still rising after 40 epochs

RECIPES: dict[str, Recipe] = {
    "served": Recipe(ModelConfig(), TrainConfig(gate_apart=True)),  # what `hopstream train` makes
    "sasrec": Recipe(_SASREC, TrainConfig(patience=10)),
    "hstu": Recipe(replace(_SASREC, family="hstu"), _LONG),
    "fuxi": Recipe(_FUXI, _LONG),
    "fuxi-next": Recipe(replace(_FUXI, query_time="next"), _LONG),
    "fame": Recipe(_FAME, _LONG),
    "fuxi-mme": Recipe(ModelConfig(max_events=64), _LONG),  # at lr 2e-3 worse on Beauty's validation users
}
