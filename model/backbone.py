"""What every network of the project is to the rest: histories in, states out, one inner product to score.

Knows: the interface, and how states and item rows meet. Does not know: any one network.
"""

# B = sequences, N = positions, M = streams or facets, d = their width, D = M * d
# L = layers with a mixture, E = experts, I = real items

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.batch import valid_mask
from model.config import FIRST_ITEM_ROW, PADDING_ROW, ModelConfig


class Encoded(NamedTuple):
    """Sequences after the last block, and how their tokens were routed; L = 0 without a mixture."""

    states_BNMd: Tensor  # zero where padded
    balance: Tensor  # scalar: mean over layers, experts.Routing.balance
    z: Tensor  # scalar: mean over layers, experts.Routing.z
    load_LE: Tensor  # per layer: share of valid tokens by expert
    logits_LBNME: Tensor  # router logits, noisy in training


#: Normalised input of a layer's gate (..., width) → what is added to the gate's product (..., its width).
Adapt = Callable[[Tensor], Tensor]


class Adapters(Protocol):
    """What turns a network into one view of itself; of one kind of sequence, for one batch."""

    def enter(self, x: Tensor) -> Tensor:
        """The input of the first layer, (B, N, ...), as this view wants it."""
        ...

    def layer(self, number: int) -> Adapt:
        """What this view adds in a layer, from 0."""
        ...


class Backbone(nn.Module, ABC):
    """A network whose score of an item is <user vector, item line> / temperature.

    Weights are drawn from torch's global generator.
    """

    def __init__(self, config: ModelConfig, num_rows: int) -> None:
        """``num_rows``: Catalogue.num_rows. Item rows: normal, std 0.02, cut at 2 std; row 0 zero."""
        super().__init__()
        self.config = config
        self.items = nn.Parameter(torch.empty(num_rows, config.streams, config.stream_dim))
        with torch.no_grad():
            nn.init.trunc_normal_(self.items, std=0.02, a=-0.04, b=0.04)
            self.items[PADDING_ROW].zero_()

    @abstractmethod
    def encode(
        self, rows_BN: Tensor, times_BN: Tensor, lengths_B: Tensor, asked_BN: Tensor | None = None
    ) -> Encoded:
        """The state after each position, from that position and those before it.

        ``rows_BN`` and ``times_BN`` (Unix ms) are right-padded int64, N at most config.max_events; more
        padding changes nothing. ``asked_BN``: the time that each row is asked for, which only query_time
        "next" reads; the time of the following event in training, of the target at a history's end.
        """

    def rows_of_items(self, rows: Tensor) -> Tensor:
        """(..., M, d): the table's rows as they stand; any shape of rows."""
        config = self.config
        flat = F.embedding(rows, self.items.view(len(self.items), config.dim), padding_idx=PADDING_ROW)
        return flat.view(*rows.shape, config.streams, config.stream_dim)

    def lines(self, rows: Tensor) -> Tensor:
        """(..., D): what a user vector is multiplied with: each sub-embedding of length 1, side by side."""
        return unit(self.rows_of_items(rows)).flatten(-2)

    def vectors(self, states: Tensor) -> Tensor:
        """(..., D) user vectors of states (..., M, d): streams side by side, divided by their number."""
        return user_vector(states)

    def item_index(self) -> Tensor:
        """(I, D): lines of the real items, in row order from FIRST_ITEM_ROW."""
        return self.lines(torch.arange(FIRST_ITEM_ROW, len(self.items), device=self.items.device))

    @classmethod
    def from_weights(cls, config: ModelConfig, weights: Mapping[str, npt.NDArray[np.float32]]) -> Self:
        """The network of a state dict, copied, in evaluation mode; leaves torch's generator as it was.

        Raises RuntimeError on other shapes or names.
        """
        with torch.random.fork_rng(devices=[]):
            model = cls(config, num_rows=FIRST_ITEM_ROW)  # the item rows follow: no need to draw millions
        model.items = nn.Parameter(torch.empty(weights["items"].shape))
        model.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in weights.items()})
        return model.eval().requires_grad_(False)


class Adaptable(Backbone, ABC):
    """A network whose gates take an addition, so that one set of weights serves as several experts."""

    @property
    @abstractmethod
    def adapter_widths(self) -> tuple[int, int]:
        """(width of a gate's normalised input, width of what is added to its product)."""

    @abstractmethod
    def encode(
        self,
        rows_BN: Tensor,
        times_BN: Tensor,
        lengths_B: Tensor,
        asked_BN: Tensor | None = None,
        adapters: Adapters | None = None,
    ) -> Encoded:
        """Backbone.encode, seen through ``adapters``; without them the plain network, bit for bit."""


def last(states_BNMd: Tensor, lengths_B: Tensor) -> Tensor:
    """(B, M, d) state after each sequence's newest event; zero for an empty sequence."""
    index_B = (lengths_B - 1).clamp_min(0)
    return states_BNMd[torch.arange(len(lengths_B), device=lengths_B.device), index_B]


def user_vector(states: Tensor) -> Tensor:
    """(..., D) of (..., M, d): streams side by side, divided by M: its product with a line is the mean
    cosine."""
    return states.flatten(-2) / states.shape[-2]


def unit(x: Tensor) -> Tensor:
    """L2-normalise the last axis; a zero vector stays zero (clamp 1e-6, reference code)."""
    norm: Tensor = x.norm(dim=-1, keepdim=True)
    return x / norm.clamp_min(1e-6)


def of_one_stream(x_BND: Tensor, lengths_B: Tensor) -> Encoded:
    """What a network of one stream and without a mixture makes of its last layer's output."""
    valid_BN1 = valid_mask(lengths_B, x_BND.shape[1])[:, :, None]
    states_BNMd = (unit(x_BND) * valid_BN1)[:, :, None]
    return Encoded(states_BNMd, *unrouted(states_BNMd))


def unrouted(like: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Balance, z, load and logits of a network without a mixture."""
    zero = like.new_zeros(())
    return zero, zero, like.new_zeros((0, 1)), like.new_zeros((0, *like.shape[:3], 1))
