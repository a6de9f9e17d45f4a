"""A role's memory as one file."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream import snapshot
from stream.snapshot import SnapshotDamaged


def test_what_was_saved_is_read_back(tmp_path: Path) -> None:
    """Lists, bytes, numbers as keys; a second one replaces the first, and nothing lies beside it."""
    path = tmp_path / "new" / "snapshot"
    snapshot.save(path, "k", 1, {"a": [b"\xff", 1]})
    snapshot.save(path, "k", 1, {3: [None, 2.5]})

    assert snapshot.load(path, "k", 1) == {3: [None, 2.5]}
    assert [entry.name for entry in path.parent.iterdir()] == ["snapshot"]


def test_without_a_file_there_is_nothing(tmp_path: Path) -> None:
    """None, not an error: the first start."""
    assert snapshot.load(tmp_path / "snapshot", "k", 1) is None


@pytest.mark.parametrize("cut", [0, 10, 33, 40])
def test_a_cut_file_is_damaged(tmp_path: Path, cut: int) -> None:
    """Whatever is left of it."""
    path = tmp_path / "snapshot"
    snapshot.save(path, "k", 1, "something long enough to be cut anywhere")
    path.write_bytes(path.read_bytes()[:cut])

    with pytest.raises(SnapshotDamaged):
        snapshot.load(path, "k", 1)


def test_another_layout_is_refused(tmp_path: Path) -> None:
    """A snapshot of another role or version is not read."""
    path = tmp_path / "snapshot"
    snapshot.save(path, "k", 1, [])

    for kind, version in (("k", 2), ("j", 1)):
        with pytest.raises(SnapshotDamaged):
            snapshot.load(path, kind, version)
