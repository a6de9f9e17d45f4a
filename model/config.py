"""The shape of a model, what MoS adds to it, the recipe of its training: frozen records, stored as JSON with
the weights.

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

#: Kinds of sequences that MoS reads, each with an expert of its own.
KINDS = ("global", "local", "theme")
ROUTINGS = ("sessions", "random", "tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Fuxi-MME (arXiv 2510.25285) on a FuXi-alpha block (arXiv 2502.03036), as served here; and its rivals.

    FuXi-alpha is Fuxi-MME with one stream and one expert. The other families read the fields that they have.
    """

    family: str = "fuxi-mme"  # or sasrec, hstu, fame: which network (model/families.py)
    dim: int = 128  # D: width of a user vector and of an item's concatenated rows
    streams: int = 4  # M: sub-embeddings per item, each dim / streams wide
    blocks: int = 2  # L
    heads: int = 4  # H: query, key and value are (dim / streams / heads) wide in each head
    experts: int = 4  # E; 1 = no mixture
    experts_at: tuple[str, ...] = ("w_u",)  # where the mixture stands: any of w_u, ffn
    kept: int = 1  # k: experts per token
    ffn_multiple: int = 2  # m of the second stage
    max_events: int = 264  # N_max: longest sequence, and the one constant divisor of every attention map
    time_bias: str = "bucket"  # or power: a (1 + seconds)^-b, two numbers per block (FuXi-beta)
    buckets: int = 129  # time buckets, floor(ln(seconds) / 0.301)
    semantic: bool = True  # the channel of queries and keys; off leaves position and time (FuXi-beta)
    query_time: str = "own"  # of a row: its event's own time; next: that of the event after it (the papers)
    facet_gate: bool = False  # streams weighted by context (FAME) instead of evenly
    dropout: float = 0.3  # inside blocks
    input_dropout: float = 0.5
    temperature: float = 0.05  # tau
    sequences: tuple[str, ...] = ("global",)  # kinds encoded and averaged: any of global, local, theme

    def __post_init__(self) -> None:
        if self.dim % self.streams or (self.dim // self.streams) % self.heads:
            raise ValueError(
                f"dim {self.dim} must divide by streams {self.streams}, and that by heads {self.heads}"
            )
        choices = {
            "family": {"fuxi-mme", "sasrec", "hstu", "fame"},
            "time_bias": {"bucket", "power"},
            "query_time": {"own", "next"},
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} {getattr(self, name)!r} must be one of {', '.join(sorted(allowed))}"
                )
        if set(self.experts_at) - {"w_u", "ffn"} or not 1 <= self.kept <= self.experts:
            raise ValueError(
                f"experts_at {self.experts_at} must name some of w_u, ffn; "
                f"kept {self.kept} must lie between 1 and experts {self.experts}"
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
        lists = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
        return cls(**{**fields, **lists})


@dataclass(frozen=True, slots=True, kw_only=True)
class MoSConfig:
    """What is routed how, and who is asked."""

    num_themes: int = 8  # K
    rank: int = 8  # of what each kind adds to a gate
    kinds: tuple[str, ...] = KINDS  # experts that are fused: global and any of the others
    routing: str = (
        "sessions"  # random: sessions get themes by chance; tokens: a mixture at every gate instead
    )
    token_rank: int = 8  # of each of the K experts of a mixture over tokens

    def __post_init__(self) -> None:
        if self.kinds[:1] != ("global",) or set(self.kinds) - set(KINDS):
            raise ValueError(f"kinds {self.kinds} must be global and any of {', '.join(KINDS[1:])}")
        if self.routing not in ROUTINGS:
            raise ValueError(f"routing {self.routing!r} must be one of {', '.join(ROUTINGS)}")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> MoSConfig:
        return cls(**{**fields, "kinds": tuple(fields["kinds"])})


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
    negatives: int = 512  # R
    negatives_per: str = "batch"  # that share them; or position: fresh ones for each (the papers)
    popularity_power: float = 0.0  # drawn by (events of the item)^this; 0 = uniform
    log_q: bool = False  # logits less log of the probability of a draw (Yi et al. 2019)
    full_softmax_items: int = 0  # a catalogue of at most this many: all items, none drawn
    balance: float = 0.01  # weight of the experts' load-balancing loss, a mean over layers
    z_loss: float = 0.001  # weight of the router's logsumexp penalty
    new_item_share: float = 0.02  # events masked as "new item" rows
    spectral_start: bool = True
    gate_apart: bool = False  # then a facet gate over the frozen network, kept where it does not hurt
    validation_users: int = 5000
    themes: int = 8  # K
    threads: int = 2
    precision: str = "fp32"  # of matrix products; or bf16, or auto: bf16 where the processor has it

    def __post_init__(self) -> None:
        choices = {"negatives_per": ("batch", "position"), "precision": ("fp32", "bf16", "auto")}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} {getattr(self, name)!r} must be one of {', '.join(allowed)}")
        if self.negatives < 1 or self.popularity_power < 0:
            raise ValueError(
                f"negatives {self.negatives} must be at least 1, "
                f"popularity_power {self.popularity_power} at least 0"
            )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
