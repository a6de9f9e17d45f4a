"""Item rows to start from: a truncated SVD of who stands near whom, instead of noise.

Knows: histories as rows, positive pointwise mutual information, the decoder's usual row norm.
Does not know: the network, training.

Shifted-free PPMI factorised as in Levy and Goldberg (NeurIPS 2014), rows U * sqrt(S); dealing the spectrum
over the streams is our construction.
"""

# I = items, D = M * d, n = events

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from model.config import FIRST_ITEM_ROW, ModelConfig
from model.sequences import Histories

FloatArray = npt.NDArray[np.float32]

#: Two events of a user count as neighbours up to this many events apart, with weight 1 / distance.
REACH = 10
#: Extra directions and multiplications of the randomised factorisation.
OVERSAMPLED = 16
POWER_STEPS = 4
#: Standard deviation of a network's own random item rows: the norm the decoder expects.
ROW_STD = 0.02
#: Noise beside the spectrum, as a share of ROW_STD; separates items that share all their neighbours.
NOISE_SHARE = 0.1


def co_occurrence(events: Histories, num_items: int) -> sparse.csr_matrix:
    """(I, I) symmetric: sum over pairs of one user's events within REACH of 1 / distance; no diagonal."""
    user_of = np.repeat(np.arange(len(events)), events.lengths())
    items = events.rows - FIRST_ITEM_ROW
    lefts, rights, weights = [], [], []
    for distance in range(1, REACH + 1):
        left, right = items[:-distance], items[distance:]
        kept = (user_of[:-distance] == user_of[distance:]) & (left >= 0) & (right >= 0) & (left != right)
        lefts.append(left[kept])
        rights.append(right[kept])
        weights.append(np.full(int(kept.sum()), 1.0 / distance))
    pairs = (np.concatenate(weights), (np.concatenate(lefts), np.concatenate(rights)))
    one_way = sparse.coo_matrix(pairs, shape=(num_items, num_items)).tocsr()
    return (one_way + one_way.T).tocsr()


def ppmi(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """max(0, log(p(i, j) / (p(i) p(j)))) where i and j ever met, else 0; the same shape, sparse."""
    totals = np.asarray(counts.sum(axis=1)).ravel()
    found = counts.tocoo()
    values = np.log(found.data * totals.sum() / (totals[found.row] * totals[found.col]))
    positive = values > 0
    return sparse.coo_matrix(
        (values[positive], (found.row[positive], found.col[positive])), shape=counts.shape
    ).tocsr()


def leading_vectors(
    matrix: sparse.csr_matrix, rank: int, random: np.random.Generator
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The ``rank`` leading left singular vectors (I, rank) and values of a symmetric matrix, largest first.

    Randomised subspace iteration (Halko, Martinsson and Tropp, SIAM Review 2011, algorithm 4.4): ten times
    faster here than Lanczos, and exact enough for a start. Signs are fixed: each vector's largest entry is
    positive.
    """
    width = min(matrix.shape[0], rank + OVERSAMPLED)
    basis = np.linalg.qr(matrix @ random.normal(size=(matrix.shape[0], width)))[0]
    for _ in range(POWER_STEPS):
        basis = np.linalg.qr(matrix @ basis)[0]
    values, small = np.linalg.eigh(basis.T @ (matrix @ basis))
    order = np.argsort(-np.abs(values), kind="stable")[:rank]
    return _signed(basis @ small[:, order]), np.abs(values[order])


def spectral_rows(events: Histories, num_items: int, config: ModelConfig, seed: int) -> FloatArray:
    """(I, M, d) rows of real items; the same for the same events and seed.

    Component c of the spectrum goes to stream c mod M, so that every stream sees large and small ones. Each
    sub-row has the norm of a random one. Items without neighbours, and all items of a catalogue too small to
    factorise, get noise only.
    """
    random = np.random.default_rng(seed)
    streams, width = config.streams, config.stream_dim
    rows_IMd = random.normal(0.0, ROW_STD * NOISE_SHARE, (num_items, streams, width))
    rank = min(config.dim, num_items - 2)
    matrix = ppmi(co_occurrence(events, num_items)) if rank >= 1 else None
    if matrix is not None and matrix.nnz:
        vectors, values = leading_vectors(matrix, rank, random)
        left = vectors * np.sqrt(values)
        spectrum_ID = np.zeros((num_items, config.dim))
        spectrum_ID[:, :rank] = left
        dealt_IMd = spectrum_ID.reshape(num_items, width, streams).transpose(0, 2, 1)
        norms = np.linalg.norm(dealt_IMd, axis=2, keepdims=True)
        usual = ROW_STD * np.sqrt(width)
        rows_IMd += np.where(norms > 1e-9, dealt_IMd / np.maximum(norms, 1e-9) * usual, 0.0)
    alone = np.linalg.norm(rows_IMd, axis=(1, 2)) < ROW_STD * np.sqrt(config.dim) / 2
    rows_IMd[alone] = random.normal(0.0, ROW_STD, (int(alone.sum()), streams, width))
    return rows_IMd.astype(np.float32)


def _signed(left_IK: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A singular vector's sign is arbitrary: make its largest entry positive."""
    largest = left_IK[np.abs(left_IK).argmax(axis=0), np.arange(left_IK.shape[1])]
    return left_IK * np.where(largest < 0, -1.0, 1.0)
