"""Keys and values per slot, extended by new positions only.

Knows: the network, where each slot's positions stand, how to share products among slots of unlike lengths.
Does not know: users, fingerprints, which slot is whose, what the states are used for.

With query time "own", one constant divisor and relative positions, no computed position changes when events
follow, so the result is the full encoding's (FuxiMME.encode), up to rounding.
"""

# R = slots at work, P = new positions of each, n = key positions, M = streams, d = stream width, L = blocks
# E = experts, S = all slots, A = states asked for

from __future__ import annotations

import math
import sys
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor

from model.backbone import unit
from model.batch import padded
from model.fuxi import FuxiBlock, Read, relations
from model.mme import FuxiMME
from model.slots import New

#: Slots with at most so many new positions share a product; a cold user then does not slow warm ones.
WIDTHS = (1, 4, 16, 64)
#: Keys read by one product over single positions: 64 slots of 264. More costs memory, less costs calls.
MAX_KEYS = 16_896
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """Where the states asked for stand among new positions, and where they go; A of them, of R slots."""

    rows_A: Tensor  # which of the R slots
    offsets_A: Tensor  # which of its new positions
    places_A: Tensor  # which state of the answer
    newest_R: Tensor  # which of the A is a slot's newest

    def to(self, device: torch.device) -> _Asked:
        return _Asked(
            rows_A=self.rows_A.to(device),
            offsets_A=self.offsets_A.to(device),
            places_A=self.places_A.to(device),
            newest_R=self.newest_R.to(device),
        )


def _asked(news: Sequence[New], firsts: Sequence[int]) -> _Asked:
    entries = [
        (r, len(new.rows) - new.num_asked + i, first + i)
        for r, (new, first) in enumerate(zip(news, firsts, strict=True))
        for i in range(new.num_asked)
    ]
    rows_A, offsets_A, places_A = torch.tensor(entries).T
    newest_R = torch.tensor(list(accumulate(new.num_asked for new in news))) - 1
    return _Asked(rows_A=rows_A, offsets_A=offsets_A, places_A=places_A, newest_R=newest_R)


class PrefixCache:
    """As many slots as fit into ``cache_bytes``, at least one; on the device of the model."""

    def __init__(self, model: FuxiMME, cache_bytes: int) -> None:
        config = model.config
        if config.query_time != "own" or not config.semantic:
            raise ValueError(
                "only a network with query_time own and the semantic channel can be extended by one position"
            )
        self.model = model
        self.device = model.items.device
        self.num_slots = max(1, cache_bytes // slot_bytes(model))
        S, N = self.num_slots, config.max_events
        per_position = (S, N, config.streams, config.stream_dim)
        # zeros, and pages the system hands out when first written: an unwritten number meets a zero weight
        self._keys = [torch.zeros(per_position, device=self.device) for _ in range(config.blocks)]
        self._values = [torch.zeros(per_position, device=self.device) for _ in range(config.blocks)]
        self._times_SN = torch.zeros((S, N), dtype=torch.int64, device=self.device)
        self._states_SMd = torch.zeros((S, config.streams, config.stream_dim), device=self.device)
        self._experts_SLM = torch.zeros(
            (S, config.blocks, config.streams), dtype=torch.int64, device=self.device
        )

        self._key_buffer = _Buffer(self.device)
        self._value_buffer = _Buffer(self.device)

    @torch.inference_mode()
    def extend(self, news: Sequence[New]) -> Reached:
        """Compute new positions; each slot at most once in a call, its earlier positions computed before.

        Returns what is asked for, in the order of ``news``, a slot's oldest first.
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
        work: dict[int, list[tuple[New, int]]] = {}
        for first, new in zip(firsts, news, strict=False):
            if len(new.rows):
                work.setdefault(_width(len(new.rows)), []).append((new, first))
        for width, alike in work.items():
            alike.sort(key=lambda entry: _stop(entry[0]), reverse=True)  # alike lengths: little padding
            while alike:
                num = self._share(width, num_keys=_stop(alike[0][0]))
                self._extend([new for new, _ in alike[:num]], [first for _, first in alike[:num]], reached)
                alike = alike[num:]
        return reached

    def _share(self, width: int, num_keys: int) -> int:
        """How many slots with up to ``width`` new positions to compute in one go."""
        if width == 1:
            return max(1, MAX_KEYS // num_keys)
        config = self.model.config
        one_map = config.streams * config.heads * min(width, config.max_events) * num_keys
        return max(1, MAX_MAP // one_map)

    def _extend(self, news: list[New], firsts: list[int], reached: Reached) -> None:
        batch = padded([(new.rows, new.times_ms) for new in news], self.model.config.max_events).to(
            self.device
        )
        slots_R = torch.tensor([new.slot for new in news], device=self.device)
        starts_R = torch.tensor([new.start for new in news], device=self.device)
        counts_R = batch.lengths_B
        num_keys = max(_stop(new) for new in news)
        N = self.model.config.max_events
        offsets_P = torch.arange(batch.rows_BN.shape[1], device=self.device)
        valid_RP = offsets_P < counts_R[:, None]
        positions_RP = (starts_R[:, None] + offsets_P).clamp_max(N - 1)  # padding may stand past the end
        flat_x = (slots_R[:, None] * N + positions_RP)[valid_RP]
        self._times_SN.view(-1)[flat_x] = batch.times_BN[valid_RP]
        key_times_Rn = self._times_SN[:, :num_keys].index_select(0, slots_R)
        power = self.model.config.time_bias == "power"
        seen = relations(batch.times_BN, key_times_Rn, positions_RP, self.model.edges_ms, with_lapse=power)
        asked = _asked(news, firsts).to(self.device)
        newest_R = asked.newest_R
        x_RPMd = self.model.embed(batch.rows_BN)
        for layer, block in enumerate(self.model.blocks):
            assert isinstance(block, FuxiBlock)
            projected = block.project(x_RPMd)
            keys, values = self._keys[layer], self._values[layer]
            keys.view(-1, *keys.shape[2:])[flat_x] = projected.k_BPMd[valid_RP]
            values.view(-1, *values.shape[2:])[flat_x] = projected.v_BPMd[valid_RP]
            read_keys = self._key_buffer.reader(keys[:, :num_keys], slots_R)
            read_values = self._value_buffer.reader(values[:, :num_keys], slots_R)
            if x_RPMd.shape[1] == 1:
                x_RPMd, _ = block.look_newest(x_RPMd, projected, read_keys, read_values, seen)
            else:
                every = slice(len(news))
                x_RPMd, _ = block.look(x_RPMd, projected, read_keys(every), read_values(every), seen)
            chosen_AM = projected.logits_BPME[asked.rows_A, asked.offsets_A].argmax(dim=-1)
            reached.experts_ALM[asked.places_A, layer] = chosen_AM
            self._experts_SLM[slots_R, layer] = chosen_AM[newest_R]
        states_AMd = unit(x_RPMd[asked.rows_A, asked.offsets_A])
        reached.states_AMd[asked.places_A] = states_AMd
        self._states_SMd[slots_R] = states_AMd[newest_R]


class _Buffer:
    """Memory for gathered rows, kept between uses: fresh pages would cost more than the copy itself."""

    def __init__(self, device: torch.device) -> None:
        self._numbers = torch.empty(0, device=device)

    def reader(self, source: Tensor, index_R: Tensor) -> Read:
        """Reads ``source.index_select(0, index_R[some])`` into the memory, over what it read before."""

        def read(some: slice) -> Tensor:
            index = index_R[some]
            shape = (len(index), *source.shape[1:])
            num = math.prod(shape)
            if num > self._numbers.numel():
                self._numbers = torch.empty(num, device=self._numbers.device)
            return torch.index_select(source, 0, index, out=self._numbers[:num].view(shape))

        return read


def _width(num_new: int) -> int:
    """The bound on new positions under which a slot shares products with others."""
    at = bisect_left(WIDTHS, num_new)
    return WIDTHS[at] if at < len(WIDTHS) else sys.maxsize


def _stop(new: New) -> int:
    return new.start + len(new.rows)
