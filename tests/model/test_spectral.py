"""The spectral start in worlds whose neighbours are known."""

import numpy as np

from model.config import FIRST_ITEM_ROW, ModelConfig
from model.sequences import Histories
from model.spectral import ROW_STD, co_occurrence, leading_vectors, ppmi, spectral_rows

SMALL = ModelConfig(dim=16, streams=2, heads=2)


def histories_of(*sequences: list[int]) -> Histories:
    """Histories of item numbers."""
    rows = np.array([item for sequence in sequences for item in sequence], np.int64) + FIRST_ITEM_ROW
    return Histories(
        rows=rows,
        times_ms=np.arange(len(rows), dtype=np.int64),
        starts=np.concatenate([[0], np.cumsum([len(sequence) for sequence in sequences])]).astype(np.int64),
        users=np.arange(len(sequences), dtype=np.int64),
        order=np.arange(len(rows), dtype=np.int64),
    )


def two_worlds(num_users: int = 60) -> Histories:
    """Half of the users take items 0..9 only, the others 10..19 only."""
    random = np.random.default_rng(0)
    return histories_of(*((10 * (user % 2) + random.permutation(10)).tolist() for user in range(num_users)))


def test_pairs_weigh_one_over_their_distance() -> None:
    """0, 1, 2 in a row: neighbours weigh 1, the ends 1/2; another user's events are no neighbours."""
    counts = co_occurrence(histories_of([0, 1, 2], [3]), 4).toarray()

    assert counts.tolist() == [[0, 1, 0.5, 0], [1, 0, 1, 0], [0.5, 1, 0, 0], [0, 0, 0, 0]]


def test_an_item_is_no_neighbour_of_itself_nor_of_a_new_item_row() -> None:
    """Repeats and masked rows leave the diagonal and the matrix alone."""
    assert co_occurrence(histories_of([0, 0, 1]), 2).toarray().tolist() == [[0, 1.5], [1.5, 0]]
    assert co_occurrence(histories_of([0, -3, 1]), 2).toarray().tolist() == [[0, 0.5], [0.5, 0]]


def test_ppmi_is_zero_for_pairs_that_meet_as_chance_would() -> None:
    """In two worlds all positive entries lie within a world."""
    matrix = ppmi(co_occurrence(two_worlds(), 20)).toarray()

    assert matrix[:10, 10:].max() == 0
    assert matrix[:10, :10].max() > 0
    assert matrix.min() == 0


def test_leading_vectors_rebuild_a_matrix_of_their_rank() -> None:
    """A symmetric matrix of rank 3 comes back from its singular vectors and values."""
    random = np.random.default_rng(1)
    half = random.normal(size=(30, 3))
    matrix = half @ half.T
    vectors, values = leading_vectors(matrix, 3, random)

    np.testing.assert_allclose(vectors * values @ vectors.T, matrix, atol=1e-8)
    assert (np.diff(values) <= 0).all()


def test_rows_of_one_world_are_nearer_than_rows_of_two() -> None:
    """The score, a mean of cosines over streams, is far higher within a world than between worlds."""
    rows = spectral_rows(two_worlds(), 20, SMALL, seed=0)
    unit = rows / np.linalg.norm(rows, axis=2, keepdims=True)
    scores = np.einsum("imd,jmd->ij", unit, unit) / 2

    assert scores[:10, :10].mean() > scores[:10, 10:].mean() + 0.2


def test_rows_have_the_usual_norm_and_shape() -> None:
    """Each sub-row is about as long as a random one, so that the decoder starts where it is used to."""
    rows = spectral_rows(two_worlds(), 20, SMALL, seed=0)

    assert rows.shape == (20, 2, 8)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=2), ROW_STD * np.sqrt(8), rtol=0.35)


def test_an_item_without_neighbours_still_has_a_row() -> None:
    """Items that nobody took, and catalogues too small for a spectrum, get noise of the usual size."""
    lonely = spectral_rows(two_worlds(), 21, SMALL, seed=0)[20]
    tiny = spectral_rows(histories_of([0, 1]), 2, SMALL, seed=0)

    assert 0.3 < np.linalg.norm(lonely) / (ROW_STD * np.sqrt(16)) < 2
    assert (np.linalg.norm(tiny, axis=(1, 2)) > 0).all()


def test_the_same_seed_gives_the_same_rows() -> None:
    """Bit for bit; another seed gives other noise."""
    first, again, other = (spectral_rows(two_worlds(), 20, SMALL, seed=seed) for seed in (4, 4, 5))

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
