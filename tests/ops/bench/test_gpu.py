"""The GPU benchmark on a small scale, with the CPU as the device; and what is said where there is no GPU."""

from __future__ import annotations

import json

import pytest
import torch
from typer.testing import CliRunner

from model.config import ModelConfig
from ops import exit_codes
from ops.bench import gpu
from ops.bench.harness import Bar, Report, Sample, row
from ops.cli import app
from ops.commands import bench

SMALL = {
    "ITEMS": 50,
    "EVENTS": 6,
    "ENCODED": (2,),
    "STEPS": (3, 5),
    "TRAINED": (2,),
    "WINDOW": 4,
    "REPEATS": 2,
    "WARMUPS": 1,
    "COMPARED": {"small": ModelConfig(dim=16, streams=2, heads=2)},
}


def test_everything_but_graphs_runs_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists agree with themselves, every case has a row and a rate, and the report names the device."""
    for name, value in SMALL.items():
        monkeypatch.setattr(gpu, name, value)
    threads = torch.get_num_threads()

    report = gpu.run("cpu")

    torch.set_num_threads(threads)
    fields = json.loads(json.dumps(report.to_json()))
    assert [bar["met"] for bar in fields["bars"]] == [True, True]
    assert fields["notes"]["device"] == "cpu"
    assert fields["notes"]["lists"]["small"]["asked"] == 240
    names = [made["name"] for made in fields["rows"]]
    assert names == [
        "encoding, 2 at once, fp32",
        "encoding, 2 at once, bf16",
        "cached step, 3 at once, as served",
        "cached step, 3 at once, fixed",
        "cached step, 5 at once, as served",
        "cached step, 5 at once, fixed",
        "training step, 2 windows, sasrec fp32",
        "training step, 2 windows, sasrec bf16",
        "training step, 2 windows, fuxi-mme fp32",
        "training step, 2 windows, fuxi-mme bf16",
    ]
    assert list(fields["notes"]["per_second"]) == names
    assert fields["notes"]["device_ms"] == {}
    assert fields["rows"][2]["wall_ms"] == pytest.approx(3e3 / fields["notes"]["per_second"][names[2]])
    assert "small: " in report.table()


class _Event:
    """Writes down when it was recorded."""

    log: list[str]

    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing

    def record(self) -> None:
        self.log.append("record")

    def elapsed_time(self, other: object) -> float:
        assert other is not self
        return 7.0


def test_a_call_on_a_device_ends_when_the_device_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device is idle before, events stand around the call, and the clock stops after the device."""
    log: list[str] = []
    monkeypatch.setattr(_Event, "log", log, raising=False)
    monkeypatch.setattr(torch.cuda, "Event", _Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: log.append("wait"))
    device_ms: list[float] = []
    timed = gpu._timed(lambda: lambda: log.append("call"), torch.device("cuda"), device_ms)

    timed()()

    assert log == ["wait", "record", "call", "record", "wait"]
    assert device_ms == [7.0]


def test_without_a_gpu_it_says_so_and_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, one line for scripts, and the status of what is not there."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    result = CliRunner().invoke(app, ["bench", "gpu", "--json"])

    sentence, line = result.output.splitlines()
    assert result.exit_code == exit_codes.NOT_FOUND
    assert sentence.startswith("bench gpu was skipped: no CUDA device is here")
    fields = json.loads(line)
    assert (fields["bench"], fields["skipped"]) == ("gpu", True)
    assert "no CUDA device" in fields["reason"]


@pytest.mark.parametrize(
    ("alike", "status"), [(100, exit_codes.OK), (99.9, exit_codes.CHECK_FAILED)], ids=["alike", "apart"]
)
def test_other_answers_are_a_failed_check(monkeypatch: pytest.MonkeyPatch, alike: float, status: int) -> None:
    """The report comes all the same, and the exit status tells."""
    bars = [Bar(name="lists alike, %", value=alike, at_least=100)]
    rows = [row("case", [Sample(wall_s=1, cpu_s=1)] * 2)]
    made = Report(bench="gpu", seed=0, rows=rows, bars=bars, notes={})
    monkeypatch.setitem(bench.NEEDS, "gpu", lambda: None)
    monkeypatch.setitem(bench.BENCHES, "gpu", lambda: made)

    result = CliRunner().invoke(app, ["bench", "gpu", "--json"])

    assert result.exit_code == status
    assert json.loads(result.output.splitlines()[-1])["bench"] == "gpu"
