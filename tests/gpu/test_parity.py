"""CPU and CUDA give one answer, from one code path: whole lists, and the bench that checks and measures."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from model.families import RECIPES
from ops.bench import gpu, parity

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

DEVICE = "cuda"


@pytest.mark.parametrize("facet_gate", [False, True])
def test_lists_agree_across_devices(facet_gate: bool) -> None:
    """Growing histories, cold and warm: vectors and scores agree within 1e-4, lists within ties of that size.

    Users whose routing hung on less than 1e-4 anywhere are counted, not compared, and must stay below 1 %.
    """
    found = parity.compared(DEVICE, replace(RECIPES["served"].model, facet_gate=facet_gate))

    assert found.alike == found.compared
    assert found.largest <= parity.TOLERANCE
    assert found.compared > 0.99 * found.asked


def test_the_bench_runs_with_its_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    """At small sizes: all lists alike, the card by its name, a time between events for every case."""
    small = {"ITEMS": 500, "EVENTS": 20, "ENCODED": (4,), "STEPS": (8,), "TRAINED": (4,), "REPEATS": 2}
    for name, value in small.items():
        monkeypatch.setattr(gpu, name, value)
    threads = torch.get_num_threads()

    report = gpu.run(DEVICE)

    torch.set_num_threads(threads)
    notes = json.loads(json.dumps(report.to_json()))["notes"]
    assert all(bar.met for bar in report.bars)
    assert notes["device"] == torch.cuda.get_device_name()
    assert "cached step, 8 at once, CUDA graph" in notes["device_ms"]
    assert list(notes["device_ms"]) == [made.name for made in report.rows]
    assert min(notes["device_ms"].values()) > 0
