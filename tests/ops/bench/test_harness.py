"""How benchmarks repeat, summarise and report."""

from __future__ import annotations

import json
from collections.abc import Callable

from ops.bench.harness import Bar, Report, Sample, row, side_by_side


def _samples(*cpu_ms: float) -> list[Sample]:
    return [Sample(wall_s=2 * ms / 1e3, cpu_s=ms / 1e3) for ms in cpu_ms]


def test_a_row_is_medians_and_quartiles() -> None:
    """Of 1, 2, 3, 4 and 100 ms the median is 3 and the quartiles 2 and 4; the rate is that of the median."""
    made = row("case", _samples(1, 100, 2, 4, 3), requests=6)

    assert round(made.cpu_ms, 6) == 3
    assert (round(made.cpu_low_ms, 6), round(made.cpu_high_ms, 6)) == (2, 4)
    assert round(made.wall_ms, 6) == 6
    assert made.per_core_s is not None
    assert round(made.per_core_s) == 2000


def test_cases_take_turns_after_warming_up() -> None:
    """Each case is prepared and called once per turn; warm-up turns leave no sample."""
    calls: list[str] = []

    def case(name: str) -> Callable[[], Callable[[], object]]:
        def prepare() -> Callable[[], object]:
            calls.append(f"prepare {name}")
            return lambda: calls.append(f"call {name}")

        return prepare

    samples = side_by_side({"a": case("a"), "b": case("b")}, warmups=1, repeats=2)

    assert calls == ["prepare a", "call a", "prepare b", "call b"] * 3
    assert {name: len(made) for name, made in samples.items()} == {"a": 2, "b": 2}


def test_a_report_names_machine_versions_and_seed() -> None:
    """Its JSON has everything a reader needs to judge the numbers, and says which promises were kept."""
    report = Report(
        bench="x",
        seed=3,
        rows=[row("case", _samples(1, 2, 3))],
        bars=[
            Bar(name="fast", value=9, at_least=10),
            Bar(name="faster", value=10, at_least=10),
            Bar(name="half", value=0.57, at_least=0.6),
        ],
        notes={"users": 4},
        findings=["five came back"],
    )

    fields = json.loads(json.dumps(report.to_json()))

    assert {"cpu", "cores", "platform", "python", "load_1min"} == set(fields["machine"])
    assert {"hopstream", "torch", "numpy"} == set(fields["versions"])
    assert (fields["seed"], fields["notes"]) == (3, {"users": 4})
    assert [bar["met"] for bar in fields["bars"]] == [False, True, False]
    assert "fast: 9.0 (at least 10: MISSED)" in report.table()
    assert report.table().endswith("five came back")
    assert "half: 0.57 (at least 0.6: MISSED)" in report.table()
