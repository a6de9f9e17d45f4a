"""One query each against the keys and values that its sequence already has: the cheapest step there is.

Knows: sequences of unlike lengths, in chunks whose keys fit into a core's own cache.
Does not know: where keys and values lie, slots, who asks.
"""

# R = sequences with one query each, longest first; T = all pairs of a query and a key, padding included
# M = streams, d = stream width, H = heads; of one chunk: b = sequences, n = keys of each, x = b * M

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from model.fuxi import FuxiBlock, Projected, Relations, relations

#: Keys that one chunk holds, values with them: 2,400 of width 128 are 2.4 MB, about a core's own cache.
READ_AT_ONCE = 2400


class Chunk(NamedTuple):
    """Neighbouring sequences that share a product."""

    rows: slice  # of R
    num_keys: int  # n: those of its longest sequence
    pairs: slice  # of T


#: A chunk's keys and values side by side, (x, n, 2d), finite past a sequence's end; good until the next call.
Read = Callable[[Chunk], Tensor]


class Pairs(NamedTuple):
    """Every pair of a query and a key, chunk by chunk, row by row."""

    rows_T: Tensor  # int64, of R
    keys_T: Tensor  # int64 position of the key


def chunks(lengths_R: Sequence[int]) -> list[Chunk]:
    """Cut sequences of falling lengths (at least 1) into chunks of about READ_AT_ONCE keys."""
    made: list[Chunk] = []
    row = pair = 0
    while row < len(lengths_R):
        num_keys = lengths_R[row]
        stop = min(len(lengths_R), row + max(1, READ_AT_ONCE // num_keys))
        while 4 * lengths_R[stop - 1] < 3 * num_keys:
            stop -= 1  # much shorter ones start a chunk of their own
        pairs = slice(pair, pair + (stop - row) * num_keys)
        made.append(Chunk(slice(row, stop), num_keys, pairs))
        row, pair = stop, pairs.stop
    return made


def all_pairs(parts: Sequence[Chunk], device: torch.device) -> Pairs:
    """The pairs of these chunks."""
    lengths = [(part.num_keys, part.rows.stop - part.rows.start) for part in parts]
    num_keys_R = torch.tensor([num for num, rows in lengths for _ in range(rows)], device=device)
    rows_R, num_pairs = torch.arange(len(num_keys_R), device=device), parts[-1].pairs.stop
    starts_R = num_keys_R.cumsum(0) - num_keys_R
    rows_T = torch.repeat_interleave(rows_R, num_keys_R, output_size=num_pairs)
    keys_T = torch.arange(num_pairs, device=device) - starts_R.index_select(0, rows_T)
    return Pairs(rows_T, keys_T)


def pair_relations(
    pairs: Pairs, times_R: Tensor, positions_R: Tensor, key_times_T: Tensor, edges_ms: Tensor, **kind: bool
) -> Relations:
    """How each query stands to each of its keys, (T, 1, 1): a pair is a sequence with one key, at 0."""
    times_T, positions_T = times_R.index_select(0, pairs.rows_T), positions_R.index_select(0, pairs.rows_T)
    lags_T = positions_T - pairs.keys_T
    return relations(times_T[:, None], key_times_T[:, None], lags_T[:, None], edges_ms, **kind)


def attend_newest(
    queries: Projected,
    read: Read,
    parts: Sequence[Chunk],
    maps: tuple[Tensor, Tensor],
    seen_T: Tensor,
    heads: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """What `fuxi.attend` gives for one query each, (R, 1, M, d) three times, without gradients.

    ``maps``: position and time weights of every pair, any shape of T numbers, zero where unseen, as
    ``seen_T``. Keys stay laid out as they are stored: a head's query (and what it reads of the values)
    stands in a line of its stream's width, zero outside the head.
    """
    R, _, M, d = queries.q_BPMd.shape
    width = d // heads
    shared_2T = torch.stack([a_map.flatten() for a_map in maps])
    lines_xHd = queries.q_BPMd.new_zeros((R * M, heads, d))
    lines_xHd.view(R * M, heads, heads, width).diagonal(dim1=1, dim2=2).copy_(
        queries.q_BPMd.view(R * M, heads, width).transpose(1, 2)
    )
    made_xwd = lines_xHd.new_empty((R * M, 2 + heads, d))
    for part in parts:
        b, n = part.rows.stop - part.rows.start, part.num_keys
        some = slice(part.rows.start * M, part.rows.stop * M)
        k_xnd, v_xnd = torch.split(read(part), d, dim=-1)
        logits_xHn = torch.bmm(lines_xHd[some], k_xnd.transpose(1, 2))
        weights_bMwn = lines_xHd.new_empty((b, M, 2 + heads, n))
        by_meaning = F.silu(logits_xHn, inplace=True).view(b, M, heads, n)
        torch.mul(by_meaning, seen_T[part.pairs].view(b, 1, 1, n), out=weights_bMwn[:, :, 2:])
        weights_bMwn[:, :, :2] = shared_2T[:, part.pairs].view(2, b, 1, n).permute(1, 2, 0, 3)
        torch.bmm(weights_bMwn.view(b * M, 2 + heads, n), v_xnd, out=made_xwd[some])
    own_xwH = made_xwd[:, 2:].view(R * M, heads, heads, width).diagonal(dim1=1, dim2=2)
    shape = (R, 1, M, d)
    return made_xwd[:, 0].view(shape), made_xwd[:, 1].view(shape), own_xwH.transpose(1, 2).reshape(shape)


def look_newest(
    block: FuxiBlock,
    x_R1Md: Tensor,
    projected: Projected,
    read: Read,
    parts: Sequence[Chunk],
    seen: Relations,
) -> Tensor:
    """`FuxiBlock.look` for one position each; ``seen`` is that of every pair."""
    channels = attend_newest(projected, read, parts, block.maps(seen), seen.seen_BPn.flatten(), block.heads)
    return block.finish(x_R1Md, projected.u_BPMF, *channels)[0]
