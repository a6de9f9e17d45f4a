"""The cached step with every shape fixed, so that a CUDA graph can hold it: one new position per sequence.

Knows: what PrefixCache computes for one new position each, keys padded to one bound, capture and replay.
Does not know: who has which slot, questions, how long anything takes.

PrefixCache itself cannot be captured: it makes index tensors from lists and counts padding, and both wait for
the device. Here everything that changes between steps lies in tensors that stay where they are.
"""

# S = slots, as many as sequences; K = keys of each, padding included; M = streams, d = stream width
# x = S * M: all streams of all slots

from __future__ import annotations

import torch
from torch import Tensor

from model.backbone import unit
from model.batch import Batch
from model.fuxi import FuxiBlock, relations
from model.mme import FuxiMME
from model.newest import Chunk, Read, all_pairs, look_newest, pair_relations

#: Sequences encoded at once when the slots are filled: bounds memory.
FILLED_AT_ONCE = 64
#: Steps before a capture, on a stream of their own: in them libraries set themselves up, which no graph may.
WARMUPS = 3


class FixedStep:
    """As many slots as sequences, each with room for ``num_keys`` positions."""

    @torch.inference_mode()
    def __init__(self, model: FuxiMME, held: Batch, slots_S: Tensor, num_keys: int) -> None:
        """``held``: what the sequences hold already; ``slots_S``: in which slot each of them lies.

        All on the device of the model. Raises ValueError when ``num_keys`` is more than a lag's weight
        reaches (max_events), or less than ``held`` has.
        """
        config, device = model.config, model.items.device
        S, N = held.rows_BN.shape
        if not N <= num_keys <= config.max_events:
            raise ValueError(f"num_keys {num_keys} must lie between {N} and {config.max_events}")
        self.model = model
        self._num_keys = num_keys
        self._streams_M = torch.arange(config.streams, device=device)
        self._parts = [Chunk(slice(0, S), num_keys, slice(0, S * num_keys))]
        self._pairs = all_pairs(self._parts, device)
        width = 2 * config.stream_dim  # key and value side by side
        self._kept = [
            torch.zeros((S * config.streams, num_keys, width), device=device) for _ in range(config.blocks)
        ]
        self._times_SK = torch.zeros((S, num_keys), dtype=torch.int64, device=device)
        # what a step is told, always at these addresses
        self._slots_S = slots_S.clone()
        self._positions_S = held.lengths_B.clone()
        self._new_rows_S = torch.zeros_like(slots_S)
        self._new_times_S = torch.zeros_like(slots_S)
        self._graph: torch.cuda.CUDAGraph | None = None
        for at in range(0, S, FILLED_AT_ONCE):
            some = slice(at, at + FILLED_AT_ONCE)
            self._fill(held.rows_BN[some], held.times_BN[some], slots_S[some])

    def _fill(self, rows_BN: Tensor, times_BN: Tensor, slots_B: Tensor) -> None:
        """The full pass of some sequences; what stands past a sequence's end is overwritten before it is
        seen."""
        model, N = self.model, rows_BN.shape[1]
        self._times_SK[slots_B, :N] = times_BN
        power = model.config.time_bias == "power"
        positions_1N = torch.arange(N, device=rows_BN.device)[None]
        seen = relations(times_BN, times_BN, positions_1N, model.edges_ms, with_lapse=power)
        x_BNMd = model.embed(rows_BN)
        for kept, block in zip(self._kept, model.blocks, strict=True):
            assert isinstance(block, FuxiBlock)
            projected = block.project(x_BNMd)
            both_BNMw = torch.cat([projected.k_BPMd, projected.v_BPMd], dim=-1)
            kept[self._lines(slots_B), :N] = both_BNMw.transpose(1, 2).flatten(0, 1)
            x_BNMd = block.look(x_BNMd, projected, projected.k_BPMd, projected.v_BPMd, seen)[0]

    def _lines(self, slots_B: Tensor) -> Tensor:
        """(B * M,) where the streams of these slots lie in what is kept."""
        return (slots_B[:, None] * len(self._streams_M) + self._streams_M).flatten()

    @torch.inference_mode()
    def __call__(self, rows_S: Tensor, times_S: Tensor) -> Tensor:
        """One new event per sequence, at most ``num_keys`` in all: (S, M, d) states of length 1.

        From any device. Replayed states lie in the graph's own memory: good until the next call.
        """
        self._new_rows_S.copy_(rows_S)
        self._new_times_S.copy_(times_S)
        if self._graph is None:
            self._states_SMd = self._step()
        else:
            self._graph.replay()
        self._positions_S.add_(1)
        return self._states_SMd

    @torch.inference_mode()
    def capture(self) -> None:
        """Record one step; later calls replay it. CUDA only, and with room for one more position."""
        stream = torch.cuda.Stream(self.model.items.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARMUPS):
                self._step()  # the position it writes is not counted, so the first call writes it again
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            self._states_SMd = self._step()
        self._graph = graph

    def _step(self) -> Tensor:
        """No number leaves the device, no shape depends on one."""
        model, K = self.model, self._num_keys
        S, M = len(self._slots_S), len(self._streams_M)
        lines_x = self._lines(self._slots_S)
        at_S = self._slots_S * K + self._positions_S
        at_x = (lines_x.view(S, M) * K + self._positions_S[:, None]).flatten()
        self._times_SK.view(-1).index_copy_(0, at_S, self._new_times_S)
        seen = pair_relations(
            self._pairs,
            self._new_times_S,
            self._positions_S,
            self._times_SK.index_select(0, self._slots_S).view(-1),
            model.edges_ms,
            with_lapse=model.config.time_bias == "power",
        )
        x_S1Md = model.embed(self._new_rows_S[:, None])
        for kept, block in zip(self._kept, model.blocks, strict=True):
            assert isinstance(block, FuxiBlock)
            projected = block.project(x_S1Md)
            new_xw = torch.cat([projected.k_BPMd, projected.v_BPMd], dim=-1).flatten(0, 2)
            kept.view(-1, kept.shape[-1]).index_copy_(0, at_x, new_xw)
            x_S1Md = look_newest(block, x_S1Md, projected, _all_of(kept, lines_x), self._parts, seen)
        return unit(x_S1Md[:, 0])


def _all_of(kept: Tensor, lines_x: Tensor) -> Read:
    """The one chunk there is, gathered as a cache must: slots are handed out in no order."""
    return lambda _: kept.index_select(0, lines_x)
