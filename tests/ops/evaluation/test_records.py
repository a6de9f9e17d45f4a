"""A run as a line of a file, there and back."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ops.evaluation.records import Run, append, packed, read, unpacked

RUN = Run(
    dataset="set",
    data="abc",
    protocol="loo",
    filter_seen=True,
    model="sasrec",
    recipe={"lr": 0.1},
    variant="A",
    seed=0,
    best_epoch=3,
    epochs=5,
    minutes=1.5,
    cpu_minutes=1.0,
    parameters=10,
    item_parameters=8,
    groups={"all": {"questions": 2.0, "recall@10": 0.5}},
    gauc=None,
    ranks=packed(np.array([1.0, np.inf])),
)


def test_ranks_come_back_as_they_were() -> None:
    """Whole ranks, halves, misses and none at all."""
    ranks = np.array([1.0, 2.5, np.inf, 695_762.0])

    assert unpacked(packed(ranks)).tolist() == ranks.tolist()
    assert unpacked(packed(np.zeros(0))).tolist() == []


def test_lines_come_back_as_runs(tmp_path: Path) -> None:
    """A file grows by one line per run and is read by what a run is; no file means no runs."""
    path = tmp_path / "some" / "runs.jsonl"
    other = replace(RUN, seed=1)
    append(path, RUN)
    append(path, other)

    assert read(path) == {RUN.key(): RUN, other.key(): other}
    assert read(tmp_path / "none.jsonl") == {}
    assert read(None) == {}


def test_a_line_whose_writer_was_killed_is_left_out_and_written_over(tmp_path: Path) -> None:
    """A long table goes on from the runs that were finished."""
    path = tmp_path / "runs.jsonl"
    append(path, RUN)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    assert read(path) == {RUN.key(): RUN}

    other = replace(RUN, seed=1)
    append(path, other)
    assert read(path) == {RUN.key(): RUN, other.key(): other}


def test_another_recipe_or_other_data_is_another_run() -> None:
    """What a name means may change, and so may a data set; minutes make no difference."""
    assert replace(RUN, recipe={"lr": 0.2}).key() != RUN.key()
    assert replace(RUN, data="abd").key() != RUN.key()
    assert replace(RUN, minutes=9.0).key() == RUN.key()
