"""What became of versions in a demo: how many were published, rejected, rolled back.

Knows: the registry and the trainer's report. Does not know: why.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from model.registry import Registry
from stream.training import PLAN, REPORT

TOLD = ("cycles", "rejected", "kept", "waited", "rolled_back", "event_to_weights_s")


def told_versions(models: Path, trainer: Path) -> dict[str, object]:
    """Versions published, the first one included, and what the trainer counted; no cycle yet is 0 of all."""
    current, report = Registry(models).current(), newest_cycles(trainer)
    published = 0 if current is None else int(current.newest)
    return {"published": published} | {name: report[name] for name in TOLD}


def newest_cycles(trainer: Path) -> dict[str, Any]:
    """The newest report in the trainer's folder, an empty one before the first."""
    try:
        found: dict[str, Any] = json.loads((trainer / REPORT).read_text())
    except FileNotFoundError:
        return {**dict.fromkeys(TOLD, 0), "event_to_weights_s": {}, "positions": {}}
    return found


def in_cycle(trainer: Path, longest_s: float) -> bool:
    """Whether the trainer carries out a cycle now, begun not longer ago than that."""
    plan = trainer / PLAN
    try:
        pending = json.loads(plan.read_text())["cycle"] == newest_cycles(trainer)["cycles"]
        return bool(pending and time.time() - plan.stat().st_mtime < longest_s)
    except FileNotFoundError:
        return False
