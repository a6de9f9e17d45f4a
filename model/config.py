"""The shape of a model and the recipe of its training: two frozen records, stored as JSON with the weights.

Knows: names, defaults and where each default comes from.
Does not know: tensors, files, data.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

#: Rows before the first real item: row 0 pads, rows 1..64 stand for items outside the catalogue (hashed).
PADDING_ROW = 0
NEW_ITEM_ROWS = 64
FIRST_ITEM_ROW = 1 + NEW_ITEM_ROWS


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Fuxi-MME (arXiv 2510.25285) on a FuXi-alpha block (arXiv 2502.03036), as served here."""

    dim: int = 128  # D: width of a user vector and of an item's concatenated rows
    streams: int = 4  # M: sub-embeddings per item, each dim / streams wide
    blocks: int = 2  # L
    heads: int = 4  # H: query, key and value are (dim / streams / heads) wide in each head
    experts: int = 4  # E at W_u; 1 = no mixture
    ffn_multiple: int = 2  # m of the second stage
    max_events: int = 264  # N_max: longest sequence, and the one constant divisor of every attention map
    buckets: int = 129  # time buckets, floor(ln(seconds) / 0.301)
    dropout: float = 0.3  # inside blocks
    input_dropout: float = 0.5
    temperature: float = 0.05  # tau
    sequences: tuple[str, ...] = ("global",)  # kinds encoded and averaged: any of global, local, theme

    def __post_init__(self) -> None:
        if self.dim % self.streams or (self.dim // self.streams) % self.heads:
            raise ValueError(
                f"dim {self.dim} must divide by streams {self.streams}, and that by heads {self.heads}"
            )
        if not self.sequences or set(self.sequences) - {"global", "local", "theme"}:
            raise ValueError(f"sequences {self.sequences} must name some of global, local, theme")

    @property
    def stream_dim(self) -> int:
        """d': width of one sub-embedding."""
        return self.dim // self.streams

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> ModelConfig:
        return cls(**{**fields, "sequences": tuple(fields["sequences"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Warm-start training; the defaults are the prototype's measured recipe for Fuxi-MME."""

    seed: int = 0
    max_epochs: int = 40
    patience: int = 6  # epochs without a better validation nDCG over all ranks
    budget_s: float | None = None  # stop after this many seconds, keep the best epoch; None = no limit
    batch: int = 256  # sequences per step, at most
    positions: int = (
        3200  # padded positions per step, at most: 64 windows of 50, so long histories get many steps
    )
    window: int = 50  # N: events per training sequence
    lr: float = 1e-3
    negatives: int = 512  # R: shared by the batch, uniform, without replacement
    balance: float = 0.01  # weight of the experts' load-balancing loss
    z_loss: float = 0.001  # weight of the router's logsumexp penalty
    new_item_share: float = 0.02  # events masked as "new item" rows
    spectral_start: bool = True
    validation_users: int = 5000
    themes: int = 8  # K
    threads: int = 2

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
