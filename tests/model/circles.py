"""A world where what comes next is known: everybody walks round one circle of items."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from model.backbone import Backbone, Encoded, unit, unrouted
from model.batch import valid_mask
from model.columns import EventColumns
from model.config import ModelConfig, TrainConfig

NUM_ITEMS = 24
RECIPE = TrainConfig(
    max_epochs=12,
    lr=5e-3,
    batch=16,
    window=12,
    negatives=16,
    new_item_share=0.0,
    themes=3,
    threads=1,
    validation_users=40,
)


def rounds(num_users: int = 60, num_events: int = 14) -> EventColumns:
    """Every user walks round one circle of items from a place of their own: all are equally popular."""
    random = np.random.default_rng(0)
    starts = random.integers(0, NUM_ITEMS, num_users)
    place = np.arange(num_users * num_events)
    user, step = place % num_users, place // num_users
    return EventColumns(
        users=[f"u{number}" for number in range(num_users)],
        items=[f"i{number}" for number in range(NUM_ITEMS)],
        user=user.astype(np.int32),
        item=((starts[user] + step) % NUM_ITEMS).astype(np.int32),
        time_ms=(60_000 * place).astype(np.int64),
    )


class Turned(Backbone):
    """The least network there is: a position's state is its item row, turned by one learned matrix."""

    def __init__(self, config: ModelConfig, num_rows: int) -> None:
        super().__init__(config, num_rows)
        self.turn = nn.Linear(config.stream_dim, config.stream_dim)
        self.asked: list[Tensor | None] = []  # what encode was given

    def encode(
        self, rows_BN: Tensor, times_BN: Tensor, lengths_B: Tensor, asked_BN: Tensor | None = None
    ) -> Encoded:
        self.asked.append(asked_BN)
        states = unit(self.turn(self.rows_of_items(rows_BN)))
        states = states * valid_mask(lengths_B, rows_BN.shape[1])[:, :, None, None]
        return Encoded(states, *unrouted(states))
