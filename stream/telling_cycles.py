"""What cycles of the trainer did: a line for the log, an object for scripts.

Knows: its figures and their order. Does not know: how they came about.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from model.gate import Decision
from model.learner import Cycle


@dataclass(slots=True, kw_only=True)
class Counts:
    """Of all cycles so far."""

    cycles: int = 0
    events: int = 0  # learned or waiting to be
    published: int = 0
    rejected: int = 0
    kept: int = 0
    waited: int = 0
    rolled_back: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycled:
    """One cycle: judged, then learned."""

    cycle: int  # the first is 1
    records: int  # read
    events: int  # positive, and new to the version that serves
    remembered: int  # histories that were loaded
    verdict: str  # of the gate, "roll back", or "none" where nothing waited
    reason: str
    decision: Decision | None
    version: str | None  # published, or serving again
    serving: str  # after the cycle
    learned: Cycle | None  # None: nothing was learned, because a candidate waits for its answer
    faults: tuple[str, ...]  # of what was learned; it is dropped then
    event_to_weights_s: dict[str, float] = field(default_factory=dict)  # of what was published: p50, p95
    dropped: int  # events that nobody learns, because too many waited
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain values; a loss that is no number is null."""
        told = asdict(self)
        if self.learned is not None and not math.isfinite(self.learned.loss):
            told["learned"]["loss"] = None
        return told | {"seconds": round(self.seconds, 3)}

    def line(self) -> str:
        """The same in one line."""
        parts = [f"cycle {self.cycle}: {self.events:,} events"]
        if self.remembered:
            parts.append(f"{self.remembered:,} of histories remembered")
        if self.verdict != "none":
            named = f" {self.version}" if self.version else ""
            parts.append(f"{self.verdict}{named} ({self.reason})")
        if self.event_to_weights_s:
            p50, p95 = self.event_to_weights_s["p50"], self.event_to_weights_s["p95"]
            parts.append(f"event to weights p50 {p50:.0f} s, p95 {p95:.0f} s")
        if self.learned is not None:
            parts.append(
                f"learned {self.learned.targets:,} targets, {self.learned.replayed:,} windows replayed, "
                f"{self.learned.admitted:,} new items, loss {self.learned.loss:.3f}"
            )
        parts += [f"DROPPED: {fault}" for fault in self.faults]
        if self.dropped:
            parts.append(f"{self.dropped:,} events never learned")
        return "; ".join([*parts, f"{self.seconds:.1f} s"])


def latency_s(waited_s: Sequence[float]) -> dict[str, float]:
    """p50 and p95 of how long events waited, in seconds; empty without any."""
    if not waited_s:
        return {}
    return {f"p{share}": round(float(np.percentile(waited_s, share)), 3) for share in (50, 95)}


def replace_json(path: Path, told: Any) -> None:
    """What was told last, in place of what was told before; complete or the old one. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    beside.write_text(json.dumps(told) + "\n")
    beside.replace(path)
