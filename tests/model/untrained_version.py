"""A published version of a network that nobody trained: its weights are random, its parts fit together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from model.catalogue import Catalogue
from model.config import ModelConfig, TrainConfig
from model.mme import FuxiMME
from model.registry import Registry
from model.themes import ThemeTable
from model.train import weights_of
from model.version import Trained, Version


def untrained(directory: Path, config: ModelConfig, items: list[str], spread: float | None = None) -> Version:
    """Version 000001 of these items, the first of them the most popular.

    ``spread``: standard deviation of all weights, so that gates and experts differ; None: as training begins.
    """
    catalogue = Catalogue(items)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = FuxiMME(config, catalogue.num_rows)
        if spread is not None:
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter.normal_(std=spread)
                network.items[0].zero_()
    registry = Registry(directory)
    registry.publish(
        Trained(
            config=config,
            train_config=TrainConfig(),
            catalogue=catalogue,
            weights=weights_of(network),
            index=network.item_index().detach().numpy().copy(),
            themes=ThemeTable(catalogue, np.eye(len(items), 2, dtype=np.float32), ["Drama", "Noir"]),
            popularity=np.arange(len(items), 0, -1, dtype=np.int64),
            learning_curve=[],
            metrics={},
            num_events=1,
            data_digest="0" * 64,
        )
    )
    return registry.load("000001")
