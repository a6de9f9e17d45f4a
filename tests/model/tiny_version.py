"""A version of a few items with random weights, made in a moment; nobody trained it."""

import numpy as np

from model.catalogue import Catalogue
from model.config import FIRST_ITEM_ROW, ModelConfig, TrainConfig
from model.memory import Memory, MemoryConfig
from model.themes import ThemeTable
from model.version import Trained

CONFIG = ModelConfig(dim=8, streams=2, heads=2)


def memory() -> dict[str, np.ndarray]:
    """Of four events."""
    made = Memory(MemoryConfig(max_items=10))
    for place in range(4):
        made.learn([f"i{earlier}" for earlier in range(place)], f"i{place}", place)
    return made.to_arrays()


def trained(num_items: int = 5, seed: int = 0, prefix: str = "i") -> Trained:
    random = np.random.default_rng(seed)
    catalogue = Catalogue([f"{prefix}{place}" for place in range(num_items)])
    rows = random.normal(size=(FIRST_ITEM_ROW + num_items, 2, 4)).astype(np.float32)
    return Trained(
        config=CONFIG,
        train_config=TrainConfig(seed=seed),
        catalogue=catalogue,
        weights={"items": rows, "streams_Md": np.ones((2, 4), np.float32)},
        index=rows[FIRST_ITEM_ROW:].reshape(num_items, 8),
        themes=ThemeTable(catalogue, random.normal(size=(num_items, 3)).astype(np.float32), ["a", "b", "ç"]),
        popularity=np.arange(num_items, dtype=np.int64),
        learning_curve=[{"epoch": 1, "loss": 2.5}],
        metrics={"validation_ndcg@10": 0.25},
        num_events=100,
        data_digest="0" * 64,
        memory=memory(),
    )
