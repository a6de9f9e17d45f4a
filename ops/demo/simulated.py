"""A simulated data set as a file, so that training in another process reads the same events.

Knows: JSON Lines of events and items. Does not know: how they are made up (ops/simulate.py).
"""

from __future__ import annotations

from pathlib import Path

from ops.datasets.table import Dataset
from ops.simulate import simulate
from stream.events import encode


def written(seed: int, folder: Path) -> tuple[Dataset, str]:
    """(the data set, the path of its file in ``folder``)."""
    dataset = simulate(seed).dataset
    path = folder / f"{dataset.name}.jsonl"
    with path.open("wb") as file:
        for item in dataset.items():
            file.write(encode(item) + b"\n")
        for event in dataset.events:
            file.write(encode(event) + b"\n")
    return dataset, str(path)
