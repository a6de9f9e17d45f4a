"""The best lines of an index for a batch of vectors: exact, over the whole catalogue.

Knows: one product, barred lines, ties (the lowest line first).
Does not know: items, users, how vectors came to be.
"""

# B = vectors, D = their width, I = lines of the index, W = I padded to whole blocks

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

#: Lines per block of the first pass: only blocks whose best score is among the best need a closer look, which
#: takes 3 ms instead of 9 for 64 vectors over 60,000 lines (the product itself: 19).
BLOCK = 64
#: Vectors per product: 64 scores of 60,000 lines are 15 MB.
MAX_VECTORS = 64


Lines = npt.NDArray[np.int64]


class Top(NamedTuple):
    """One vector's best lines, best first; fewer than asked when no more are left."""

    lines: list[int]
    scores: list[float]
    others: npt.NDArray[np.float32] | None = None  # scores of the lines that were asked about too


class Ranker:
    """An index held ready for products."""

    def __init__(self, index_ID: Tensor) -> None:
        """``index_ID``: one line per item, on the device that is to rank."""
        self.num_lines = len(index_ID)
        self._index_WD = F.pad(index_ID, (0, 0, 0, -len(index_ID) % BLOCK))

    @torch.inference_mode()
    def top(
        self, vectors_BD: Tensor, barred: Sequence[Lines], n: int, others: Sequence[Lines] | None = None
    ) -> list[Top]:
        """The ``n`` lines of highest inner product with each vector, without its ``barred`` lines.

        ``others``: lines whose scores are told too, per vector, barred or not.
        """
        found: list[Top] = []
        for at in range(0, len(vectors_BD), MAX_VECTORS):
            some = slice(at, at + MAX_VECTORS)
            asked = others[some] if others is not None else ()
            found += self._top(vectors_BD[some], barred[some], min(n, self.num_lines), asked)
        return found

    def _top(self, vectors_BD: Tensor, barred: Sequence[Lines], n: int, others: Sequence[Lines]) -> list[Top]:
        if n <= 0 and not others:
            return [Top([], []) for _ in barred]
        scores_BW = vectors_BD @ self._index_WD.T
        flat = scores_BW.view(-1)
        told = torch.split(flat[_places(scores_BW, others)].cpu(), [len(lines) for lines in others])
        if n <= 0:
            return [Top([], [], scores.numpy()) for scores in told]
        scores_BW[:, self.num_lines :] = -torch.inf
        flat[_places(scores_BW, barred)] = -torch.inf
        # one more than asked: if it ties with the last, which of them belong to the list is still open
        values, lines = (part.cpu().numpy() for part in best(scores_BW, min(n + 1, scores_BW.shape[1])))
        open_B = (values[:, n - 1] == values[:, n]) if values.shape[1] > n else np.zeros(len(values), bool)
        values, lines = values[:, :n], lines[:, :n]
        for b in np.flatnonzero(open_B & np.isfinite(values[:, -1])):
            lines[b] = _lowest(scores_BW[b].cpu().numpy(), values[b, -1], n)
            values[b] = scores_BW[b].cpu().numpy()[lines[b]]
        order = np.lexsort((lines, -values), axis=-1)
        values, lines = np.take_along_axis(values, order, 1), np.take_along_axis(lines, order, 1)
        left_B = np.isfinite(values).sum(axis=1).tolist()
        tops = [
            Top(line[:left], value[:left])
            for line, value, left in zip(lines.tolist(), values.tolist(), left_B, strict=True)
        ]
        if others:
            tops = [top._replace(others=scores.numpy()) for top, scores in zip(tops, told, strict=True)]
        return tops


def _places(scores_BW: Tensor, lines: Sequence[Lines]) -> Tensor:
    """Of some lines per vector: where their scores stand, all of them in one row."""
    owner = np.repeat(np.arange(len(lines)), [len(some) for some in lines])
    flat = owner * scores_BW.shape[1] + np.concatenate([np.zeros(0, np.int64), *lines])
    return torch.from_numpy(flat).to(scores_BW.device)


def best(scores_BW: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Values and lines (B, k) of the k highest scores, in falling order; W is a multiple of BLOCK.

    Exact: were one of the best k outside the k best blocks, each of these would hold a line as good.
    """
    B = len(scores_BW)
    blocks_BxL = scores_BW.view(B, -1, BLOCK)
    if blocks_BxL.shape[1] <= 2 * k:
        values, lines = scores_BW.topk(k)
        return values, lines
    kept_Bk = blocks_BxL.amax(dim=2).topk(k, sorted=False).indices
    rows_B1 = torch.arange(B, device=scores_BW.device)[:, None]
    values_Bk, inside_Bk = blocks_BxL[rows_B1, kept_Bk].flatten(1).topk(k)
    return values_Bk, kept_Bk.gather(1, inside_Bk // BLOCK) * BLOCK + inside_Bk % BLOCK


def _lowest(scores_W: npt.NDArray[np.float32], last: float, n: int) -> npt.NDArray[np.int64]:
    """All lines above ``last``, then the lowest of those that equal it: n in all."""
    above = np.flatnonzero(scores_W > last)
    return np.concatenate([above, np.flatnonzero(scores_W == last)[: n - len(above)]])
