"""The four boards and their files.

Knows: where the committed JSON lies. Does not know: what is on a board.

`python -m ops.grafana.boards` writes dashboards/*.json anew; a test holds them to the code.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from ops.grafana.experts import EXPERTS
from ops.grafana.freshness import FRESHNESS
from ops.grafana.live_quality import QUALITY
from ops.grafana.panels import Board, dashboard
from ops.grafana.scorer import SCORER

FOLDER: Final = Path(__file__).parent / "dashboards"
BOARDS: Final = (QUALITY, FRESHNESS, EXPERTS, SCORER)


def text(board: Board) -> str:
    """The file of a board."""
    return json.dumps(dashboard(board), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def path(board: Board) -> Path:
    """Where its file lies."""
    return FOLDER / f"{board.uid.removeprefix('hopstream-')}.json"


if __name__ == "__main__":
    for one in BOARDS:
        path(one).write_text(text(one))
