"""A scorer process whose versions are a file: what the tests of the role start, stop and kill.

Usage: python scorer_process.py BOOTSTRAP PREFIX CURRENT_FILE READY_FILE. The file holds "VERSION EPOCH";
a version named "bad..." ranks nothing. Lists hold the version's name, then numbered items.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from model.popularity import Popularity
from stream.asking import Asking, Place, Ranking
from stream.hotswap import HotSwap
from stream.run_scorer import ScorerGaveUp
from stream.scorer_app import assemble
from stream.settings import load


@dataclass(frozen=True)
class Named:
    """A version that answers with its own name."""

    version: str
    epoch: int
    labels: Sequence[str] = ()

    def rank(self, asking: Sequence[Asking], n: int) -> Ranking:
        items = [] if self.version.startswith("bad") else [self.version, *map(str, range(n - 1))]
        place = Place(items=items, scores=[1.0] * len(items), vector=None, experts=[], known=True)
        for one in asking:
            one.sequences()
        return Ranking(
            places=[place] * len(asking),
            encode_ms=0.0,
            rank_ms=0.0,
            positions=len(asking),
            tokens=len(asking),
        )

    def forget(self, user: str) -> None:
        """There is nothing to forget."""

    def popularity(self) -> Popularity:
        return Popularity.from_counts(["0", "1"], [2, 1])


def current(file: Path) -> Named | None:
    """What the file says should serve."""
    if not file.exists():
        return None
    version, epoch = file.read_text().split()
    return Named(version, int(epoch))


def main() -> None:
    bootstrap, prefix, versions, ready = sys.argv[1:]
    logging.basicConfig(level=logging.INFO)
    settings = load(
        overrides={
            "kafka": {"prefix": prefix},
            "scorer": {"session_timeout_ms": 6000, "max_batch": 16},
        },
        environment={},
    )
    swap = HotSwap(lambda: current(Path(versions)), Named, ThreadPoolExecutor(1), 16)
    role = assemble(settings, bootstrap, Path(ready), swap)
    signal.signal(signal.SIGTERM, role.stop)
    try:
        role.run()
    except ScorerGaveUp:
        logging.exception("gave up")
        os._exit(70)
    os._exit(0)


if __name__ == "__main__":
    main()
