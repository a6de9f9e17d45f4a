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

import numpy as np
import numpy.typing as npt

from model.blend import NO_LINE
from model.memory import Memory, MemoryConfig
from model.popularity import Popularity
from stream.asking import Asking, Place, Ranking
from stream.confirming import ScorerGaveUp
from stream.hotswap import HotSwap
from stream.learning import Seed
from stream.scorer_app import assemble
from stream.settings import load


@dataclass(frozen=True)
class Named:
    """A version that answers with its own name."""

    version: str
    epoch: int
    labels: Sequence[str] = ()
    temperature: float = 0.05
    parent: str | None = None
    withdrawn: Sequence[str] = ()

    @property
    def items(self) -> Sequence[str]:
        return [self.version, *map(str, range(999))]

    def lines(self, items: Sequence[str]) -> npt.NDArray[np.int64]:
        return np.full(len(items), NO_LINE)

    def rank(
        self, asking: Sequence[Asking], n: int, others: Sequence[npt.NDArray[np.int64]] | None = None
    ) -> Ranking:
        lines = [] if self.version.startswith("bad") else list(range(n))
        items = [self.items[line] for line in lines]
        for one in asking:
            one.sequences()
        return Ranking(
            places=[
                Place(
                    items=items,
                    lines=lines,
                    scores=[1.0] * len(items),
                    others=np.zeros(len(asked)),
                    vector=None,
                    experts=[],
                    known=True,
                )
                for asked in others or [()] * len(asking)
            ],
            encode_ms=0.0,
            rank_ms=0.0,
            positions=len(asking),
            tokens=len(asking),
        )

    def share(self, asking: Asking) -> float:
        return 0.01

    def forget(self, user: str) -> None:
        """There is nothing to forget."""

    @property
    def shape(self) -> tuple[int, int]:
        return 1, 4

    def seed(self, config: MemoryConfig) -> Seed:
        return Seed(self.popularity(), Memory(config), None)

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
            "scorer": {
                "session_timeout_ms": 6000,
                "max_batch": 16,
                "data_dir": Path(ready).parent / "scorer",
                "snapshot_ms": 1000,
            },
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
