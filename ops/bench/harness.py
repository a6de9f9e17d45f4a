"""How every benchmark measures and what it says: warmed up, side by side, with spread and machine.

Knows: repetition, quartiles, two clocks, the last line of output. Does not know: what is measured.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

#: Prepares one repetition of a case, unmeasured, and returns the part that is measured.
Case = Callable[[], Callable[[], object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One repetition on two clocks; they agree for one thread on an idle machine."""

    wall_s: float
    cpu_s: float  # of all threads of this process


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured case."""

    name: str
    wall_ms: float  # median
    cpu_ms: float  # median: what it costs, whoever else uses the machine
    cpu_low_ms: float  # first quartile of the repetitions
    cpu_high_ms: float  # third quartile
    repeats: int
    per_core_s: float | None  # requests per second of one core, at the median; None when there are none


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A promise and whether this run keeps it."""

    name: str
    value: float
    at_least: float

    @property
    def met(self) -> bool:
        return self.value >= self.at_least


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A finished benchmark."""

    bench: str
    seed: int
    rows: list[Row]
    bars: list[Bar]
    notes: Mapping[str, Any]  # sizes that the numbers depend on
    findings: Sequence[str] = ()  # counted, not timed: a line each for people, the numbers are in notes

    def to_json(self) -> dict[str, Any]:
        return {
            "bench": self.bench,
            "seed": self.seed,
            "machine": machine(),
            "versions": {package: version(package) for package in ("hopstream", "torch", "numpy")},
            "notes": dict(self.notes),
            "rows": [asdict(row) for row in self.rows],
            "bars": [{**asdict(bar), "met": bar.met} for bar in self.bars],
        }

    def table(self) -> str:
        """For people."""
        lines = [f"{'case':40} {'wall ms':>9} {'CPU ms':>9} {'its quartiles':>19} {'per core and s':>15}"]
        for row in self.rows:
            spread = f"{row.cpu_low_ms:.2f} … {row.cpu_high_ms:.2f}"
            rate = "" if row.per_core_s is None else f"{row.per_core_s:,.0f}"
            lines.append(f"{row.name:40} {row.wall_ms:9.2f} {row.cpu_ms:9.2f} {spread:>19} {rate:>15}")
        for bar in self.bars:
            verdict = "met" if bar.met else "MISSED"
            digits = 1 if bar.at_least >= 10 else 2
            lines.append(f"{bar.name}: {bar.value:,.{digits}f} (at least {bar.at_least:,.10g}: {verdict})")
        lines += self.findings
        return "\n".join(lines)


def side_by_side(cases: Mapping[str, Case], *, warmups: int, repeats: int) -> dict[str, list[Sample]]:
    """Samples of each case; cases take turns, so that other load on the machine meets them alike."""
    samples: dict[str, list[Sample]] = {name: [] for name in cases}
    for turn in range(warmups + repeats):
        for name, case in cases.items():
            sample = _measured(case())
            if turn >= warmups:
                samples[name].append(sample)
    return samples


def _measured(call: Callable[[], object]) -> Sample:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    call()
    return Sample(wall_s=time.perf_counter() - wall_s, cpu_s=time.process_time() - cpu_s)


def row(name: str, samples: Sequence[Sample], requests: int | None = None) -> Row:
    """Medians and quartiles of at least two repetitions of ``requests`` requests each."""
    cpu_s = [sample.cpu_s for sample in samples]
    low_s, median_s, high_s = statistics.quantiles(cpu_s, n=4, method="inclusive")
    return Row(
        name=name,
        wall_ms=statistics.median(sample.wall_s for sample in samples) * 1e3,
        cpu_ms=median_s * 1e3,
        cpu_low_ms=low_s * 1e3,
        cpu_high_ms=high_s * 1e3,
        repeats=len(samples),
        per_core_s=None if requests is None else requests / median_s,
    )


def machine() -> dict[str, Any]:
    """What the numbers were measured on, and how busy it was."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "load_1min": round(os.getloadavg()[0], 2),
    }


def _cpu_model() -> str:
    described = Path("/proc/cpuinfo")
    if described.exists():
        for line in described.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
