"""What a scorer has learned, written and read back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from model.memory import MemoryConfig
from model.popularity import Popularity
from stream.leading import Leading
from stream.learning import Learner
from stream.records import Header
from stream.scorer_checkpoint import FILE, Checkpoint, Learned
from stream.standing_in import StandIns

SHAPE = MemoryConfig()


def header(offset: int, item: str, user: str = "ann") -> Header:
    return Header(
        user=user,
        topic_id="t",
        partition=1,
        offset=offset,
        events=offset + 1,
        item=item,
        type="click",
        ts=1000 * offset,
        prev=("i0", "i1"),
        produced_ms=0,
        kinds=("history",),
        lengths=(3,),
        fingerprints=(0,),
        themes=(),
        routed_by=None,
        hidden=(),
        sampled=True,
    )


def learned(num: int) -> Learned:
    learner, leading = Learner(Popularity(), ()), Leading()
    for offset in range(num):
        learner.learn(header(offset, f"i{offset % 4}"))
        leading.shown("ann", 5, [[0], [1], *[[0]] * 9], ["i1", "i2"])
        leading.judge("ann", "i2")
    return Learned(learner=learner, leading=leading, requests={1: num})


def checkpoint(folder: Path, every_s: float = 0.0) -> Checkpoint:
    return Checkpoint(folder, every_s, ThreadPoolExecutor(1))


def test_all_of_it_comes_back(tmp_path: Path) -> None:
    """Memory, popularity, leaders, positions, and what was learned is not learned again."""
    before = learned(8)
    checkpoint(tmp_path).close(before)

    after = checkpoint(tmp_path).restore((), SHAPE)

    assert after.requests == {1: 8}
    assert after.learner.counts.top(9) == before.learner.counts.top(9)
    assert after.learner.memory.scores(["i1"]).tolist() == before.learner.memory.scores(["i1"]).tolist()
    assert after.leading.leaders.to_dict() == before.leading.leaders.to_dict()
    assert after.leading.leaders.warm.num_judged == 8
    assert [after.learner.learn(header(offset, "i3")) for offset in (7, 8)] == [False, True]


@pytest.mark.parametrize("harm", ["cut", "another byte", "another shape"])
def test_what_cannot_be_used_is_counted_and_left(tmp_path: Path, harm: str) -> None:
    """A damaged file, or a memory of another shape: a fresh start, and no error."""
    checkpoint(tmp_path).close(learned(8))
    file = tmp_path / FILE
    whole = file.read_bytes()
    if harm == "cut":
        file.write_bytes(whole[: len(whole) // 2])
    elif harm == "another byte":
        file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    made = checkpoint(tmp_path)

    fresh = made.restore((), MemoryConfig(neighbours=32) if harm == "another shape" else SHAPE)

    assert made.damaged == 1
    assert (fresh.learner.num_learned, dict(fresh.requests)) == (0, {})


def test_rows_of_another_layout_are_left_and_the_rest_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As a snapshot of an earlier release has them: they start anew, and the log says so."""
    monkeypatch.setattr(StandIns, "to_arrays", lambda _: {"version": np.zeros(1), "clicks": np.zeros((3, 4))})
    checkpoint(tmp_path).close(learned(8))

    after = checkpoint(tmp_path).restore((), SHAPE)

    assert after.requests == {1: 8}
    assert after.learner.num_learned == 8
    assert len(after.stand_ins) == 0
    assert "rows of new items start anew" in caplog.text


def test_it_is_written_when_it_is_time_and_something_is_new(tmp_path: Path) -> None:
    """Not before the time, and not again while nothing was learned."""
    made, file = checkpoint(tmp_path, every_s=60.0), tmp_path / FILE
    state = learned(3)
    made.keep(state, 0.0)
    state.learner.learn(header(3, "i1"))
    made.keep(state, 59.0)
    assert not file.exists()
    made.keep(state, 60.0)
    made.settle()
    assert file.exists()
    file.unlink()
    made.keep(state, 130.0)
    made.settle()
    assert not file.exists()


def test_nothing_saved_is_a_fresh_start(tmp_path: Path) -> None:
    """Without a file nothing is learned, and nothing is damaged."""
    made = checkpoint(tmp_path)

    assert made.restore((), SHAPE).learner.num_learned == 0
    assert made.damaged == 0
