"""Keys and values per slot, extended by new positions only.

Knows: the network, where each slot's positions stand, how to share products among slots of unlike lengths.
Does not know: users, fingerprints, which slot is whose, what the states are used for.

With query time "own", one constant divisor and relative positions, no computed position changes when events
follow, so the result is the full encoding's (FuxiMME.encode), up to rounding; under MoS each kind of sequence
has its own view of the network, and keys and values depend on it.
"""

# R = slots at work, P = new positions of each, n = key positions, M = streams, d = stream width, L = blocks
# E = experts, S = all slots, A = states asked for

from __future__ import annotations

import math
import sys
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from model.adapters import Adapters, AllViews
from model.backbone import unit
from model.batch import Batch, padded
from model.fuxi import FuxiBlock, Projected, relations
from model.mme import FuxiMME
from model.newest import Chunk, all_pairs, chunks, look_newest, pair_relations
from model.slots import New

#: Slots with at most so many new positions share a product; a cold user then does not slow warm ones.
WIDTHS = (1, 4, 16, 64)
#: Keys that single positions computed together look at: 496 slots of 264. More would cost memory.
MAX_KEYS = 1 << 17
#: Numbers in one semantic map (32 MiB): larger ones are slower per number.
MAX_MAP = 8 << 20


def slot_bytes(model: FuxiMME) -> int:
    """Bytes of one slot: keys, values and times of max_events positions, and the newest state."""
    config = model.config
    position_bytes = 2 * 4 * config.dim * config.blocks + 8
    return config.max_events * position_bytes + 4 * config.dim + 8 * config.blocks * config.streams


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """What `PrefixCache.extend` was asked for; A states."""

    states_AMd: Tensor  # per stream of length 1
    experts_ALM: Tensor  # per block and stream: the expert that the state's own position chose

    def expert_shares(self, num_experts: int) -> Tensor:
        """(A, L, E): the share of the streams that chose an expert."""
        return F.one_hot(self.experts_ALM, num_experts).float().mean(dim=2)


class _Work(NamedTuple):
    """What is computed in one slot."""

    new: New
    first: int  # which of the states asked for is its oldest
    kind: int  # of its sequence


class _Asked(NamedTuple):
    """Where the states asked for stand among new positions, and where they go; A of them, of R slots."""

    found_A: Tensor  # which of the R * P new positions
    places_A: Tensor  # which state of the answer
    newest_R: Tensor  # which of the A is a slot's newest


def _asked(news: Sequence[New], firsts: Sequence[int], num_positions: int, device: torch.device) -> _Asked:
    nums_R = np.array([new.num_asked for new in news])
    ends_R = np.arange(len(news)) * num_positions + np.array([len(new.rows) for new in news])
    stops_R = nums_R.cumsum()
    back_A = np.repeat(stops_R, nums_R) - np.arange(stops_R[-1])  # 1 for a slot's newest
    found_A = np.repeat(ends_R, nums_R) - back_A
    places_A = np.repeat(np.array(firsts) + nums_R, nums_R) - back_A
    return _Asked(*(torch.from_numpy(part).to(device) for part in (found_A, places_A, stops_R - 1)))


class PrefixCache:
    """As many slots as fit into ``cache_bytes``, at least one; on the device of the model."""

    def __init__(self, model: FuxiMME, cache_bytes: int, adapters: Adapters | None = None) -> None:
        """``adapters``: what MoS adds to the network, by kind of sequence."""
        config = model.config
        if config.query_time != "own" or not config.semantic:
            raise ValueError(
                "only a network with query_time own and the semantic channel can be extended by one position"
            )
        self.model = model
        self.device = model.items.device
        self.num_slots = max(1, cache_bytes // slot_bytes(model))
        S, N = self.num_slots, config.max_events
        # key and value side by side, a stream's positions in a row; zeros, and pages the system hands out
        # when first written: an unwritten number meets a zero weight
        self._kept = [
            torch.zeros((S * config.streams, N, 2 * config.stream_dim), device=self.device)
            for _ in range(config.blocks)
        ]
        self._times_SN = torch.zeros((S, N), dtype=torch.int64, device=self.device)
        self._states_SMd = torch.zeros((S, config.streams, config.stream_dim), device=self.device)
        self._experts_SLM = torch.zeros(
            (S, config.blocks, config.streams), dtype=torch.int64, device=self.device
        )
        self._buffer = _Buffer(self.device)
        self._views = None if adapters is None else AllViews(adapters)

    @torch.inference_mode()
    def extend(self, news: Sequence[New], kinds: Sequence[int] | None = None) -> Reached:
        """Compute new positions; each slot at most once in a call, its earlier positions computed before.

        ``kinds``: of each sequence, index of adapters.KINDS, always the same for a slot's content; read only
        with adapters, and without it all are global. Returns what is asked for, in the order of ``news``, a
        slot's oldest first.
        """
        config = self.model.config
        firsts = [0, *accumulate(new.num_asked for new in news)]
        reached = Reached(
            states_AMd=torch.empty((firsts[-1], config.streams, config.stream_dim), device=self.device),
            experts_ALM=torch.empty(
                (firsts[-1], config.blocks, config.streams), dtype=torch.int64, device=self.device
            ),
        )
        idle = [(first, new.slot) for first, new in zip(firsts, news, strict=False) if not len(new.rows)]
        if idle:
            places, slots = torch.tensor(idle, device=self.device).T
            reached.states_AMd[places] = self._states_SMd[slots]
            reached.experts_ALM[places] = self._experts_SLM[slots]
        work: dict[int, list[_Work]] = {}
        for at, new in enumerate(news):
            if len(new.rows):
                one = _Work(new, firsts[at], 0 if kinds is None else kinds[at])
                work.setdefault(_width(len(new.rows)), []).append(one)
        for width, alike in work.items():
            alike.sort(key=lambda one: _stop(one.new), reverse=True)  # alike lengths: little padding
            while alike:
                num = self._share(width, num_keys=_stop(alike[0].new))
                self._extend(alike[:num], reached)
                alike = alike[num:]
        return reached

    def _share(self, width: int, num_keys: int) -> int:
        """How many slots with up to ``width`` new positions to compute in one go."""
        if width == 1:
            return max(1, MAX_KEYS // num_keys)
        config = self.model.config
        one_map = config.streams * config.heads * min(width, config.max_events) * num_keys
        return max(1, MAX_MAP // one_map)

    def _extend(self, work: list[_Work], reached: Reached) -> None:
        config = self.model.config
        news, firsts = [one.new for one in work], [one.first for one in work]
        M, N = config.streams, config.max_events
        batch = _batch(news, N).to(self.device)
        P = batch.rows_BN.shape[1]
        slots_R = torch.tensor([new.slot for new in news], device=self.device)
        starts_R = torch.tensor([new.start for new in news], device=self.device)
        offsets_P = torch.arange(P, device=self.device)
        positions_RP = (starts_R[:, None] + offsets_P).clamp_max(N - 1)  # padding may stand past the end
        valid_x = (offsets_P < batch.lengths_B[:, None]).flatten().nonzero()[:, 0]
        times_x = batch.times_BN.flatten().index_select(0, valid_x)
        flat_x = (slots_R[:, None] * N + positions_RP).flatten().index_select(0, valid_x)
        self._times_SN.view(-1).index_copy_(0, flat_x, times_x)
        streams_M = torch.arange(M, device=self.device)
        lines_RM = slots_R[:, None] * M + streams_M  # of what is kept
        flat_xM = (flat_x // N * M * N + flat_x % N)[:, None] + streams_M * N
        look = self._newest if P == 1 else self._several
        looked = look(news, slots_R, lines_RM.flatten(), positions_RP, batch.times_BN)
        asked = _asked(news, firsts, P, self.device)
        x_RPMd = self.model.embed(batch.rows_BN)
        view = None
        if self._views is not None:
            view = self._views.view(torch.tensor([one.kind for one in work], device=self.device))
        chosen = []
        for number, (kept, block) in enumerate(zip(self._kept, self.model.blocks, strict=True)):
            assert isinstance(block, FuxiBlock)
            projected = block.project(x_RPMd, None if view is None else view.layer(number))
            new_xMw = torch.cat([projected.k_BPMd, projected.v_BPMd], dim=-1).flatten(0, 1)
            new_yw = new_xMw.index_select(0, valid_x).flatten(0, 1)
            kept.view(-1, kept.shape[-1]).index_copy_(0, flat_xM.flatten(), new_yw)
            x_RPMd = looked(block, kept, x_RPMd, projected)
            logits_AME = projected.logits_BPME.flatten(0, 1).index_select(0, asked.found_A)
            chosen.append(logits_AME.argmax(dim=-1))
        chosen_ALM = torch.stack(chosen, dim=1)
        states_AMd = unit(x_RPMd.flatten(0, 1).index_select(0, asked.found_A))
        reached.experts_ALM[asked.places_A], reached.states_AMd[asked.places_A] = chosen_ALM, states_AMd
        self._experts_SLM[slots_R] = chosen_ALM[asked.newest_R]
        self._states_SMd[slots_R] = states_AMd[asked.newest_R]

    def _newest(
        self, news: list[New], slots_R: Tensor, lines_x: Tensor, positions_R1: Tensor, times_R1: Tensor
    ) -> _Look:
        """One new position each, longest sequence first."""
        config = self.model.config
        M = config.streams
        parts = chunks([_stop(new) for new in news])
        pairs = all_pairs(parts, self.device)
        flat_T = slots_R.index_select(0, pairs.rows_T).mul_(config.max_events).add_(pairs.keys_T)
        seen = pair_relations(
            pairs,
            times_R1[:, 0],
            positions_R1[:, 0],
            self._times_SN.view(-1).index_select(0, flat_T),
            self.model.edges_ms,
            with_lapse=config.time_bias == "power",
        )

        def look(block: FuxiBlock, kept: Tensor, x_R1Md: Tensor, projected: Projected) -> Tensor:
            def read(part: Chunk) -> Tensor:
                some = lines_x[part.rows.start * M : part.rows.stop * M]
                return self._buffer.rows(kept[:, : part.num_keys], some)

            return look_newest(block, x_R1Md, projected, read, parts, seen)

        return look

    def _several(
        self, news: list[New], slots_R: Tensor, lines_x: Tensor, positions_RP: Tensor, times_RP: Tensor
    ) -> _Look:
        """Several new positions each."""
        config = self.model.config
        num_keys = max(_stop(new) for new in news)
        key_times_Rn = self._times_SN[:, :num_keys].index_select(0, slots_R)
        power = config.time_bias == "power"
        seen = relations(times_RP, key_times_Rn, positions_RP, self.model.edges_ms, with_lapse=power)

        def look(block: FuxiBlock, kept: Tensor, x_RPMd: Tensor, projected: Projected) -> Tensor:
            kept_xnw = self._buffer.rows(kept[:, :num_keys], lines_x)
            both_RnMw = kept_xnw.view(len(news), config.streams, num_keys, -1).transpose(1, 2)
            k_RnMd, v_RnMd = torch.split(both_RnMw, config.stream_dim, dim=-1)
            return block.look(x_RPMd, projected, k_RnMd, v_RnMd, seen)[0]

        return look


#: One block's step: (block, what is kept for it, x (R, P, M, d), projected) -> next x.
_Look = Callable[[FuxiBlock, Tensor, Tensor, Projected], Tensor]


class _Buffer:
    """Memory for gathered rows, kept between uses: fresh pages would cost more than the copy itself."""

    def __init__(self, device: torch.device) -> None:
        self._numbers = torch.empty(0, device=device)

    def rows(self, source: Tensor, index_x: Tensor) -> Tensor:
        """``source.index_select(0, index_x)`` in the memory, over what was there before."""
        shape = (len(index_x), *source.shape[1:])
        num = math.prod(shape)
        if num > self._numbers.numel():
            self._numbers = torch.empty(num, device=self._numbers.device)
        return torch.index_select(source, 0, index_x, out=self._numbers[:num].view(shape))


def _batch(news: list[New], max_events: int) -> Batch:
    if max(len(new.rows) for new in news) > 1:
        return padded([(new.rows, new.times_ms) for new in news], max_events)
    rows_R, times_R = (
        torch.from_numpy(np.concatenate(parts))
        for parts in ([new.rows for new in news], [new.times_ms for new in news])
    )
    lengths_R = torch.ones_like(rows_R)
    return Batch(rows_BN=rows_R[:, None], times_BN=times_R[:, None], lengths_B=lengths_R)


def _width(num_new: int) -> int:
    """The bound on new positions under which a slot shares products with others."""
    at = bisect_left(WIDTHS, num_new)
    return WIDTHS[at] if at < len(WIDTHS) else sys.maxsize


def _stop(new: New) -> int:
    return new.start + len(new.rows)
