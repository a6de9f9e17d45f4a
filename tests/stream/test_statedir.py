"""Where state lies, and when it is too old to be trusted."""

from __future__ import annotations

import os
from pathlib import Path

from stream.statedir import STALE_S, state_directory


def test_another_cluster_or_topic_is_another_directory(tmp_path: Path) -> None:
    """State never meets a cluster or a changelog that it does not belong to."""
    found = {
        state_directory(tmp_path, cluster, topic, 0.0) for cluster in ("c1", "c2") for topic in ("t1", "t2")
    }

    assert len(found) == 4


def test_a_live_directory_keeps_its_state_and_a_stale_one_is_emptied(tmp_path: Path) -> None:
    """Twelve hours without a worker, and the state is rebuilt from the changelog."""
    directory = state_directory(tmp_path, "c", "t", 1_000_000.0)
    (directory / "db").write_text("state")
    os.utime(directory / "alive", (1_000_000.0, 1_000_000.0))

    assert (state_directory(tmp_path, "c", "t", 1_000_000.0 + STALE_S) / "db").exists()
    os.utime(directory / "alive", (1_000_000.0, 1_000_000.0))
    assert not (state_directory(tmp_path, "c", "t", 1_000_001.0 + STALE_S) / "db").exists()


def test_names_from_outside_cannot_leave_the_root(tmp_path: Path) -> None:
    """A cluster id is only ever a directory's name."""
    assert state_directory(tmp_path, "../../x", "t", 0.0).resolve().is_relative_to(tmp_path)
