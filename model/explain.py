"""Why an item has its score for a user: terms that add up to it, and the history events behind them.

Knows: the served score (the sum over facets of weight times cosine, plus the memory's term), the full
encoding of a user's sequences. Does not know: users, topics, titles, how a list was cut.

    score(i) = (w / tau) * sum over m of g_m <x_m, e_im>  +  (1 - w) * log(memory(i) + eps)
    without a memory:      sum over m of g_m <x_m, e_im>

Facets are Fuxi-MME's streams under FAME's gate (arXiv 2411.01457); what they mean is for titles to tell. The
form of the explanation is our construction.
"""

# M = facets, d = their width, H = history items, L = layers with a mixture, E = experts

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from model.backbone import Backbone, last, unit
from model.batch import padded
from model.catalogue import Catalogue
from model.config import FIRST_ITEM_ROW

#: Kind → (items, times in Unix ms), arrival order, as a request holds them.
Sequences = Mapping[str, tuple[Sequence[str], Sequence[int]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """A history item, and how close it stands to the explained one in a facet."""

    item: str
    cosine: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Facet:
    """One facet's part of the score."""

    facet: int
    weight: float  # g_m: how much this facet counts for the user now; all facets sum to 1
    cosine: float  # of the user's state and the item in this facet
    term: float  # what it adds to the score
    nearest: list[Near]  # history items closest to the item in this facet, closest first


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """The fast memory's part of the score: one term, shared out over the history items that speak for it."""

    weight: float  # 1 - w
    memory: float  # memory(i)
    term: float
    shares: dict[str, float]  # history item → its share of memory(i); they sum to 1, empty if it is 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One item for one user."""

    item: str
    score: float | None  # None: the version has no row of this item, and no memory speaks
    row: str  # "trained", or "none": not in the version's catalogue
    facets: list[Facet]
    memory: Recalled | None
    sequences: dict[str, int]  # kind → events that were read
    experts: list[list[float]]  # per layer with a mixture: share of the newest positions by expert
    seen: bool  # the item is in the history: lists leave it out where seen items are filtered

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memories:
    """What the memory says of the item, for a served sum."""

    weight: float  # w of the model, in 0..1
    epsilon: float
    shares: Mapping[str, float]  # history item → what it adds to memory(i)


class Explainer:
    """Explains any item for one user's sequences by one version."""

    def __init__(
        self, network: Backbone, catalogue: Catalogue, sequences: Sequences, num_near: int = 3
    ) -> None:
        """``sequences`` holds "history" and what the version reads, each read like a served one."""
        self._network = network
        self._catalogue = catalogue
        self._num_near = num_near
        self._history = list(dict.fromkeys(sequences["history"][0]))
        self._read = {
            kind: events
            for kind, events in sequences.items()
            if kind.partition(":")[0] in network.config.sequences and len(events[0])
        }
        self._state_Md, self._experts_LE = self._encoded()

    @torch.inference_mode()
    def _encoded(self) -> tuple[Tensor, list[list[float]]]:
        config = self._network.config
        if not self._read:
            return torch.zeros(config.streams, config.stream_dim), []
        events = [(self._catalogue.rows(items), times_ms) for items, times_ms in self._read.values()]
        batch = padded(events, config.max_events)
        encoded = self._network.encode(batch.rows_BN, batch.times_BN, batch.lengths_B)
        state_Md = unit(last(encoded.states_BNMd, batch.lengths_B).sum(0))
        newest = torch.arange(len(events)), batch.lengths_B - 1
        chosen_LxM = encoded.logits_LBNME[:, newest[0], newest[1]].argmax(dim=-1).flatten(1)
        num_experts = encoded.logits_LBNME.shape[-1]
        if num_experts < 2:
            return state_Md, []
        shares = [torch.bincount(chosen, minlength=num_experts) / chosen.numel() for chosen in chosen_LxM]
        return state_Md, [share.tolist() for share in shares]

    def explain(self, item: str, memories: Memories | None = None) -> Explanation:
        """The terms of one item's score; ``memories`` where a memory serves beside the model."""
        row = self._catalogue.row(item)
        known = row >= FIRST_ITEM_ROW
        scale = 1.0 if memories is None else memories.weight / self._network.config.temperature
        facets = self._facets(row, scale) if known else []
        recalled = None if memories is None else _recalled(memories)
        terms = [facet.term for facet in facets] + ([recalled.term] if recalled is not None else [])
        return Explanation(
            item=item,
            score=sum(terms) if terms else None,
            row="trained" if known else "none",
            facets=facets,
            memory=recalled,
            sequences={kind: len(events[0]) for kind, events in self._read.items()},
            experts=self._experts_LE,
            seen=item in self._history,
        )

    @torch.inference_mode()
    def _facets(self, row: int, scale: float) -> list[Facet]:
        network, state_Md = self._network, self._state_Md
        shape = state_Md.shape
        line_Md = network.lines(torch.tensor([row])).view(shape)
        cosines = (state_Md * line_Md).sum(-1).tolist()
        weights = (network.vectors(state_Md).view(shape) * state_Md).sum(-1) / state_Md.square().sum(-1)
        weights_M = torch.nan_to_num(weights, nan=1 / len(state_Md)).tolist()
        history = [name for name in self._history if self._catalogue.row(name) >= FIRST_ITEM_ROW]
        rows = torch.tensor([self._catalogue.row(name) for name in history], dtype=torch.int64)
        near_MH = torch.einsum("hmd,md->mh", network.lines(rows).view(-1, *shape), line_Md)
        return [
            Facet(
                facet=m,
                weight=weights_M[m],
                cosine=cosines[m],
                term=scale * weights_M[m] * cosines[m],
                nearest=[
                    Near(item=history[h], cosine=float(near_MH[m, h]))
                    for h in near_MH[m].argsort(descending=True, stable=True)[: self._num_near].tolist()
                ],
            )
            for m in range(len(cosines))
        ]


def _recalled(memories: Memories) -> Recalled:
    total = math.fsum(memories.shares.values())
    return Recalled(
        weight=1 - memories.weight,
        memory=total,
        term=(1 - memories.weight) * math.log(total + memories.epsilon),
        shares={item: share / total for item, share in memories.shares.items()} if total > 0 else {},
    )
