"""One query each against gathered keys and values: the last line of the full map, however it is cut."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from model.fuxi import Projected, Relations, attend, bucket_edges_ms, relations
from model.newest import Chunk, all_pairs, attend_newest, chunks, pair_relations

LENGTHS = [9, 9, 8, 4, 2, 1]  # longest first
R, N, M, H, W = len(LENGTHS), 9, 2, 2, 4
EDGES = bucket_edges_ms(129)


def _maps(seen: Relations, by_lag: Tensor, by_bucket: Tensor) -> tuple[Tensor, Tensor]:
    return by_lag[seen.lags_BPn] * seen.seen_BPn, by_bucket[seen.buckets_BPn] * seen.seen_BPn


@pytest.mark.parametrize("at_once", [1, 2 * N, 2400])
def test_the_newest_position_alone(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    """Each channel of a sequence's last query, whatever finite numbers stand beyond its end."""
    monkeypatch.setattr("model.newest.READ_AT_ONCE", at_once)
    torch.manual_seed(0)
    q, k, v = (torch.randn(R, N, M, H * W) for _ in range(3))
    times_RN = torch.randint(0, 10**9, (R, N)).cumsum(1)
    by_lag, by_bucket = torch.randn(N), torch.randn(129)
    seen = relations(times_RN, times_RN, torch.arange(N)[None], EDGES)
    full = attend(Projected(q, k, v, q, q), k, v, _maps(seen, by_lag, by_bucket), seen, H)

    rows_R, last_R = torch.arange(R), torch.tensor(LENGTHS) - 1
    parts = chunks(LENGTHS)
    pairs = all_pairs(parts, torch.device("cpu"))
    key_times_T = times_RN[pairs.rows_T, pairs.keys_T]
    own = pair_relations(pairs, times_RN[rows_R, last_R], last_R, key_times_T, EDGES)
    q_R1Md = q[rows_R, last_R][:, None]

    def read(part: Chunk) -> Tensor:
        return torch.cat([k, v], dim=-1)[part.rows, : part.num_keys].transpose(1, 2).flatten(0, 1)

    queries = Projected(q_R1Md, q_R1Md, q_R1Md, q_R1Md, q_R1Md)
    alone = attend_newest(queries, read, parts, _maps(own, by_lag, by_bucket), own.seen_BPn.flatten(), H)

    for expected, actual in zip(full, alone, strict=True):
        torch.testing.assert_close(expected[rows_R, last_R][:, None], actual, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("at_once", [1, 20, 2400])
def test_chunks_are_small_and_hold_everyone_once(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    """In order, of at most so many keys unless alone, and none read far beyond its end."""
    monkeypatch.setattr("model.newest.READ_AT_ONCE", at_once)

    parts = chunks(LENGTHS)

    rows = [row for part in parts for row in range(part.rows.start, part.rows.stop)]
    assert rows == list(range(R))
    pairs = [pair for part in parts for pair in range(part.pairs.start, part.pairs.stop)]
    assert pairs == list(range(sum(part.num_keys * len(LENGTHS[part.rows]) for part in parts)))
    for part in parts:
        own = LENGTHS[part.rows]
        assert part.num_keys == max(own)
        assert min(own) >= 0.75 * max(own)
        assert len(own) * part.num_keys <= at_once or len(own) == 1
