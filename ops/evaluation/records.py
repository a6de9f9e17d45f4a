"""One finished run as a line of JSON, and a file of such lines that a long table is resumed from.

Knows: the fields of a run, how ranks are packed. Does not know: how a run is made, what is printed.
"""

from __future__ import annotations

import base64
import json
import os
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from model.metrics import MISS, FloatArray

#: What makes two runs the same run.
Key = tuple[str, str, str, bool, str, str, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One model, seed and variant, judged."""

    dataset: str
    data: str  # digest of the events
    protocol: str
    filter_seen: bool
    model: str  # as typed, or the name of a baseline
    recipe: dict[str, Any]  # fields that are not at their default; a change of recipe is another run
    variant: str
    seed: int
    best_epoch: int  # 0 for a baseline; of members the largest
    epochs: int  # of members the most
    minutes: float  # of training, by the clock; of members the sum, as all that follows
    cpu_minutes: float  # of training, of all threads
    parameters: int  # item rows included
    item_parameters: int
    groups: dict[str, dict[str, float]]  # name -> "questions" and the figures of model/stages.py
    gauc: dict[str, float] | None  # mean, low, high, users, impressions; None without impressions
    ranks: str  # of the questions in order of the columns, packed
    notes: dict[str, Any] = field(default_factory=dict)  # what was chosen along the way

    def key(self) -> Key:
        recipe = json.dumps(self.recipe, sort_keys=True)
        of_data = (self.dataset, self.data, self.protocol, self.filter_seen)
        return (*of_data, self.model, recipe, self.variant, self.seed)

    def best_epochs(self) -> list[int]:
        """Of each member; of one where the run is one network."""
        found: list[int] = self.notes.get("best epoch by member", [self.best_epoch])
        return found

    def to_json(self) -> dict[str, Any]:
        """Everything but the ranks: what people and scripts read."""
        return {name: value for name, value in asdict(self).items() if name != "ranks"}


def packed(ranks_E: FloatArray) -> str:
    """Ranks are whole or half, and MISS: twice the rank as a number, 0 for a miss."""
    halves = np.where(np.isinf(ranks_E), 0, 2 * ranks_E).astype("<u4")
    return base64.b64encode(zlib.compress(halves.tobytes(), 9)).decode()


def unpacked(text: str) -> FloatArray:
    halves = np.frombuffer(zlib.decompress(base64.b64decode(text)), "<u4")
    return np.where(halves == 0, MISS, halves / 2)


def packed_table(values: FloatArray) -> str:
    """Any numbers; ``unpacked_table`` needs the number of rows."""
    return base64.b64encode(zlib.compress(values.astype("<f8").tobytes(), 9)).decode()


def unpacked_table(text: str, rows: int) -> FloatArray:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), "<f8").reshape(rows, -1)


def read(path: Path | None) -> dict[Key, Run]:
    """Runs of a results file by what they are; none when there is no file yet.

    A last line without an end is left out: its writer was killed, and the run is made again.
    """
    if path is None or not path.exists():
        return {}
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    runs = [Run(**json.loads(line)) for line in whole.splitlines() if line.strip()]
    return {run.key(): run for run in runs}


def append(path: Path | None, run: Run) -> None:
    """One more line, on disk before the next run begins, in the place of one that was never finished."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.write(json.dumps(asdict(run)).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
