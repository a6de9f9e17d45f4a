"""Small networks that MoS can wrap, MoS over them at its start and away from it, and all its views."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from model.backbone import Adaptable
from model.config import FIRST_ITEM_ROW, ModelConfig
from model.families import build
from model.mos import MoS, MoSConfig
from model.mos_reading import Reader, Views
from tests.model.hoppers import RULES, THEMES, Past

MME = ModelConfig(dim=16, streams=2, blocks=2, heads=2, experts=3)
NETWORKS = {
    "fuxi-mme": MME,
    "fuxi-mme, facet gate": replace(MME, facet_gate=True),
    "fuxi": replace(MME, streams=1, experts=1),
    "sasrec": replace(MME, family="sasrec", streams=1, experts=1),
    "hstu": replace(MME, family="hstu", streams=1, experts=1),
}
NUM_ROWS = FIRST_ITEM_ROW + 300


def network(config: ModelConfig) -> Adaptable:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = build(config, NUM_ROWS).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.add_(0.3 * torch.randn_like(parameter))
    assert isinstance(model, Adaptable)
    return model


def new(backbone: Adaptable, **fields: object) -> MoS:
    torch.manual_seed(1)
    config = MoSConfig(num_themes=THEMES, **fields)
    return MoS(config, backbone, torch.randn(THEMES, backbone.config.dim)).eval()


def grown(backbone: Adaptable, **fields: object) -> MoS:
    """Every part away from where it starts."""
    mos = new(backbone, **fields)
    with torch.no_grad():
        for parameter in mos.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        mos.router.renormalise()
    return mos


def everything(mos: MoS, backbone: Adaptable, past: Past) -> tuple[Views, np.ndarray]:
    """Views at every event of every user."""
    reader = Reader(backbone, mos, past.events, past.sessions, RULES)
    cuts = np.arange(len(past.events.rows))
    return reader.read(reader.route(np.arange(len(past.events))), cuts), cuts
