"""Why an item has its score for a user: terms that add up to it, and the history events behind them.

Knows: the served score (the sum over facets of weight times cosine, plus the memory's term), the full
encoding of a user's sequences. Does not know: users, topics, titles, how a list was cut.

    score(i) = (w / tau) * sum over m of g_m <x_m, e_im>  +  (1 - w) * log(memory(i) + eps)
    without a memory:      sum over m of g_m <x_m, e_im>
    under MoS x is what was fused: the shares of global, local and theme sequences are told beside the terms

Facets are Fuxi-MME's streams under FAME's gate (arXiv 2411.01457); what they mean is for titles to tell. The
form of the explanation is our construction.
"""

# M = facets, d = their width, H = history items, L = layers with a mixture, E = experts, P = places of states

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.adapters import AllViews
from model.backbone import Adaptable, Backbone, last
from model.batch import padded
from model.catalogue import Catalogue
from model.config import FIRST_ITEM_ROW, KINDS
from model.fusion import averaged, fused, num_places
from model.kinds import Kinds
from model.mos import MoS

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
    scale: float  # of the model in the served sum, w / temperature; 1 without a memory
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
    row: str  # "trained", "provisional" (a cosine stands in for it), or "none"
    facets: list[Facet]
    stand_in: float | None  # what that cosine adds to the score
    memory: Recalled | None
    sequences: dict[str, int]  # kind → events that were read
    shares: dict[str, float]  # global, local, theme → how much each counts in the state
    themes: list[tuple[int, float]]  # (theme, weight) that count; none without MoS
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
    memory: float | None = None  # memory(i) as it was served, which the shares divide; None: their sum
    vector_D: npt.NDArray[np.floating] | None = None  # the user vector as it was served; None: encoded anew
    stand_in: float | None = None  # the cosine that was served for an item without a trained row


@dataclass(frozen=True, slots=True, kw_only=True)
class Themes:
    """What a version with MoS needs to know of a request beside its sequences."""

    version: str  # that explains
    mos: MoS
    weights: tuple[tuple[int, float], ...]  # (theme, weight), heaviest first
    routed_by: str | None  # version whose table chose them


@dataclass(frozen=True, slots=True)
class _Told:
    """kinds.Question."""

    kinds: tuple[str, ...]
    lengths: tuple[int, ...]
    themes: tuple[tuple[int, float], ...]
    routed_by: str | None


class Explainer:
    """Explains any item for one user's sequences by one version."""

    def __init__(
        self,
        network: Backbone,
        catalogue: Catalogue,
        sequences: Sequences,
        num_near: int = 3,
        themes: Themes | None = None,
    ) -> None:
        """``sequences`` holds "history" and what the version reads, each read like a served one."""
        self._network = network
        self._catalogue = catalogue
        self._num_near = num_near
        self._history = list(dict.fromkeys(sequences["history"][0]))
        kinds = tuple(sequences)
        lengths = tuple(len(items) for items, _ in sequences.values())
        if themes is None:
            self._question = _Told(kinds, lengths, (), None)
            self._reads = Kinds("", network.config, None).reads(self._question)
        else:
            self._question = _Told(kinds, lengths, themes.weights, themes.routed_by)
            self._reads = Kinds(themes.version, network.config, themes.mos.config).reads(self._question)
        self._read = {kinds[part.kind]: sequences[kinds[part.kind]] for part in self._reads.parts}
        self._state_Md, self._shares_S, self._experts_LE = self._encoded(themes.mos if themes else None)

    @torch.inference_mode()
    def _encoded(self, mos: MoS | None) -> tuple[Tensor, list[float], list[list[float]]]:
        """(state (M, d), share of each of KINDS, expert shares of each layer)."""
        config = self._network.config
        if not self._read:
            return torch.zeros(config.streams, config.stream_dim), [0.0] * len(KINDS), []
        events = [(self._catalogue.rows(items), times_ms) for items, times_ms in self._read.values()]
        batch = padded(events, config.max_events)
        inputs = batch.rows_BN, batch.times_BN, batch.lengths_B
        places = torch.tensor([part.place for part in self._reads.parts])
        states_1PMd = torch.zeros(1, num_places([self._reads]), config.streams, config.stream_dim)
        if mos is None:
            encoded = self._network.encode(*inputs)
            states_1PMd[0, places] = last(encoded.states_BNMd, batch.lengths_B)
            made = averaged(states_1PMd, [self._reads])
        else:
            assert isinstance(self._network, Adaptable)
            views = torch.tensor([part.view for part in self._reads.parts])
            encoded = self._network.encode(*inputs, adapters=AllViews(mos.adapters).view(views))
            states_1PMd[0, places] = last(encoded.states_BNMd, batch.lengths_B)
            made = fused(mos, states_1PMd, [self._question], [self._reads], config.max_events)
        state_Md, shares_S = made.states_TMd[0], made.shares_TS[0].tolist()
        newest = torch.arange(len(events)), batch.lengths_B - 1
        chosen_LxM = encoded.logits_LBNME[:, newest[0], newest[1]].argmax(dim=-1).flatten(1)
        num_experts = encoded.logits_LBNME.shape[-1]
        if num_experts < 2:
            return state_Md, shares_S, []
        shares = [torch.bincount(chosen, minlength=num_experts) / chosen.numel() for chosen in chosen_LxM]
        return state_Md, shares_S, [share.tolist() for share in shares]

    def explain(self, item: str, memories: Memories | None = None) -> Explanation:
        """The terms of one item's score; ``memories`` where a memory serves beside the model."""
        row = self._catalogue.row(item)
        known = row >= FIRST_ITEM_ROW
        scale = 1.0 if memories is None else memories.weight / self._network.config.temperature
        vector_D = None if memories is None else memories.vector_D
        facets = self._facets(row, scale, vector_D) if known else []
        recalled = None if memories is None else _recalled(memories)
        stood_in = None
        if not known and memories is not None and memories.stand_in is not None:
            stood_in = scale * memories.stand_in
        terms = [facet.term for facet in facets] + ([recalled.term] if recalled is not None else [])
        terms += [stood_in] if stood_in is not None else []
        return Explanation(
            item=item,
            score=sum(terms) if terms else None,
            row="trained" if known else "none" if stood_in is None else "provisional",
            facets=facets,
            stand_in=stood_in,
            memory=recalled,
            sequences={kind: len(events[0]) for kind, events in self._read.items()},
            shares={kind: share for kind, share in zip(KINDS, self._shares_S, strict=True) if share},
            themes=list(self._reads.themes),
            experts=self._experts_LE,
            seen=item in self._history,
        )

    @torch.inference_mode()
    def _facets(self, row: int, scale: float, vector_D: npt.NDArray[np.floating] | None) -> list[Facet]:
        """``vector_D``: what the terms are taken from; None: the state that was encoded here."""
        network, state_Md = self._network, self._state_Md
        shape = state_Md.shape
        line_Md = network.lines(torch.tensor([row])).view(shape)
        cosines = (state_Md * line_Md).sum(-1).tolist()
        weights = (network.vectors(state_Md).view(shape) * state_Md).sum(-1) / state_Md.square().sum(-1)
        weights_M = torch.nan_to_num(weights, nan=1 / len(state_Md)).tolist()
        told_Md = network.vectors(state_Md) if vector_D is None else torch.tensor(vector_D).float()
        products_M = (told_Md.view(shape) * line_Md).sum(-1).tolist()
        history = [name for name in self._history if self._catalogue.row(name) >= FIRST_ITEM_ROW]
        rows = torch.tensor([self._catalogue.row(name) for name in history], dtype=torch.int64)
        near_MH = torch.einsum("hmd,md->mh", network.lines(rows).view(-1, *shape), line_Md)
        return [
            Facet(
                facet=m,
                weight=weights_M[m],
                cosine=cosines[m],
                scale=scale,
                term=scale * products_M[m],
                nearest=[
                    Near(item=history[h], cosine=float(near_MH[m, h]))
                    for h in near_MH[m].argsort(descending=True, stable=True)[: self._num_near].tolist()
                ],
            )
            for m in range(len(cosines))
        ]


def _recalled(memories: Memories) -> Recalled:
    total = math.fsum(memories.shares.values())
    served = total if memories.memory is None else memories.memory
    return Recalled(
        weight=1 - memories.weight,
        memory=served,
        term=(1 - memories.weight) * math.log(served + memories.epsilon),
        shares={item: share / total for item, share in memories.shares.items()} if total > 0 else {},
    )
