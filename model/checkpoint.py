"""A training that was interrupted goes on where it stood.

Knows: one file in one directory, whole or absent, and which training it belongs to.
Does not know: what is in a state, when training ends.
"""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from model.config import ModelConfig, TrainConfig
from model.errors import CheckpointMismatch
from model.sequences import HeldOut, Histories

FILE = "checkpoint.pt"
#: Options that say when to stop and not how to get there: they may change when training goes on.
FREE = ("max_epochs", "patience", "budget_s")


@dataclass(slots=True)
class Checkpoints:
    """A directory with the newest state of one training."""

    directory: Path
    every_s: float = 60.0  # at most this much work is lost
    _saved_s: float = field(default_factory=time.monotonic)

    def due(self) -> bool:
        return time.monotonic() - self._saved_s >= self.every_s

    def save(self, identity: dict[str, str], state: dict[str, Any]) -> None:
        """Replaces the state before; whoever reads meanwhile finds one of the two, whole."""
        self.directory.mkdir(parents=True, exist_ok=True)
        written = self.directory / f"{FILE}.{os.getpid()}"
        with written.open("wb") as file:
            torch.save({"identity": identity, "state": state}, file)
            file.flush()
            os.fsync(file.fileno())
        written.replace(self.directory / FILE)
        self._saved_s = time.monotonic()

    def load(self, identity: dict[str, str]) -> dict[str, Any] | None:
        """The newest state, None where there is none; raises CheckpointMismatch for another training's."""
        try:
            found = torch.load(self.directory / FILE, weights_only=True)
        except FileNotFoundError:
            return None
        differing = [name for name, value in identity.items() if found["identity"].get(name) != value]
        if differing:
            raise CheckpointMismatch(f"In {self.directory} these differ: {', '.join(differing)}.")
        state: dict[str, Any] = found["state"]
        return state

    def clear(self) -> None:
        """Forget the state: what it led to is safe elsewhere."""
        (self.directory / FILE).unlink(missing_ok=True)


def identity_of(
    config: ModelConfig, recipe: TrainConfig, events: Histories, questions: HeldOut, processes: int
) -> dict[str, str]:
    """What makes a training the same one, by name: shape, recipe, data (sha256), number of processes."""
    data = hashlib.sha256()
    for array in (events.rows, events.times_ms, events.starts, questions.targets, questions.asked_ms):
        data.update(len(array).to_bytes(8, "big") + array.astype("<i8").tobytes())
    fixed = {name: value for name, value in recipe.to_json().items() if name not in FREE}
    named = {f"model {name}": str(value) for name, value in config.to_json().items()}
    named |= {name: str(value) for name, value in fixed.items()}
    return {**named, "events": data.hexdigest(), "processes": str(processes)}
