"""`hopstream bench` and its exit codes."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from ops import exit_codes
from ops.bench.harness import Report, Sample, row
from ops.cli import app
from ops.commands import bench


def test_an_unknown_benchmark_is_a_usage_error() -> None:
    """The message lists those there are."""
    result = CliRunner().invoke(app, ["bench", "nothing"])

    assert result.exit_code == exit_codes.USAGE
    assert "choose from encode" in result.output


def test_the_last_line_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the table for people comes one object for scripts."""
    samples = [Sample(wall_s=1, cpu_s=1)] * 2
    made = Report(bench="made up", seed=0, rows=[row("case", samples)], bars=[], notes={})
    monkeypatch.setitem(bench.BENCHES, "encode", lambda: made)

    result = CliRunner().invoke(app, ["bench", "encode", "--json"])

    assert result.exit_code == exit_codes.OK
    assert json.loads(result.output.splitlines()[-1])["bench"] == "made up"
