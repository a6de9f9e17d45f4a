"""What became of versions in a demo: how many were published, rejected, rolled back.

Knows: the registry and the trainer's report. Does not know: why.
"""

from __future__ import annotations

import json
from pathlib import Path

from model.registry import Registry
from stream.training import REPORT

TOLD = ("cycles", "rejected", "kept", "waited", "rolled_back", "event_to_weights_s")


def told_versions(models: Path, trainer: Path) -> dict[str, object]:
    """Versions published, the first one included, and what the trainer counted; no cycle yet is 0 of all."""
    current = Registry(models).current()
    try:
        report = json.loads((trainer / REPORT).read_text())
    except FileNotFoundError:
        report = {**dict.fromkeys(TOLD, 0), "event_to_weights_s": {}}
    published = 0 if current is None else int(current.newest)
    return {"published": published} | {name: report[name] for name in TOLD}
