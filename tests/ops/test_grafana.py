"""The boards: as the code makes them, read back by Grafana's own types, asking only for what there is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ops.grafana.boards import BOARDS, path, text
from ops.grafana.panels import SOURCE, Board
from tests.contract.test_docs import rows

#: The SDK warns of its own classic model, which is the one that files provision.
pytestmark = pytest.mark.filterwarnings("ignore:Prefer using dashboardv2:DeprecationWarning")

OPS = Path(__file__).parents[2] / "ops"
RECORDED = re.findall(r"record: (\S+)", (OPS / "prometheus" / "recording.yml").read_text())
every_board = pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)


def committed(board: Board) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(path(board).read_text())
    return read


def queries(board: Board) -> list[str]:
    return [target["expr"] for panel in committed(board)["panels"] for target in panel["targets"]]


@every_board
def test_the_committed_board_is_what_the_code_makes(board: Board) -> None:
    """`python -m ops.grafana.boards` would change nothing."""
    assert path(board).read_text() == text(board)


@every_board
def test_grafanas_types_read_it_back_without_loss(board: Board) -> None:
    """A misspelt or unknown field would be dropped on the way."""
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

    register_default_plugins()
    read = committed(board)

    assert json.loads(JSONEncoder().encode(Dashboard.from_json(read))) == read


def test_pages_and_panels_are_told_apart() -> None:
    """One uid for each board; in it each panel has a number, a title and a unit, each query a letter."""
    boards = [committed(board) for board in BOARDS]
    panels = [panel for board in boards for panel in board["panels"]]

    assert len({board["uid"] for board in boards}) == len(boards) == 4
    assert len({board["title"] for board in boards}) == 4
    for board in boards:
        numbers = [panel["id"] for panel in board["panels"]]
        titles = [panel["title"] for panel in board["panels"]]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(set(titles)) == len(titles)
    for panel in panels:
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters) > 0
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]


def test_every_panel_asks_the_source_that_is_provisioned() -> None:
    """By its fixed uid."""
    provisioned = (OPS / "grafana" / "provisioning" / "datasources" / "prometheus.yml").read_text()
    asked = set(re.findall(r'"uid": "([^"]+)"', "".join(map(text, BOARDS)))) - {one.uid for one in BOARDS}

    assert asked == {SOURCE}
    assert f"uid: {SOURCE}\n" in provisioned


def test_the_table_says_on_which_board_each_metric_is() -> None:
    """It is there; and a board asks for nothing that the table or a recording rule does not have."""
    table = {row[0].strip("`"): (row[1], row[6]) for row in rows("ops/README.md", "Metrics")}
    asked: dict[str, set[str]] = {}
    for board in BOARDS:
        found = set(re.findall(r"\bhopstream_\w+", " ".join(queries(board))))
        asked[board.title.removeprefix("Hopstream: ")] = {
            re.sub(r"_(bucket|count|sum)$", "", name)
            if table.get(re.sub(r"_(bucket|count|sum)$", "", name), ("",))[0] == "histogram"
            else name
            for name in found
        }
    recorded = set(
        re.findall(r"\bhopstream:[\w:]+", " ".join(one for board in BOARDS for one in queries(board)))
    )

    assert {name for name, (_, board) in table.items() if name not in asked[board]} == set()
    assert set().union(*asked.values()) - set(table) == set()
    assert recorded - set(RECORDED) == set()


def test_prometheus_can_read_every_query(tmp_path: Path) -> None:
    """Each as a recording rule, with Grafana's interval filled in."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian's package `prometheus` has it)")
    rules = [
        {"record": f"board:query:{number}", "expr": expr.replace("$__rate_interval", "30s")}
        for number, expr in enumerate(one for board in BOARDS for one in queries(board))
    ]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "boards", "rules": rules}]}))  # JSON is YAML
    checked = subprocess.run(
        [promtool, "check", "rules", str(file)], capture_output=True, text=True, timeout=60, check=False
    )

    assert checked.returncode == 0, checked.stderr
    assert f"{len(rules)} rules found" in checked.stdout
