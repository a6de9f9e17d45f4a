"""Every query of every board has an answer from a real Prometheus that scrapes all roles' metrics."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from ops.grafana.boards import BOARDS
from ops.ports import free_port
from ops.processes import eventually
from stream.metrics.exposition import serve
from tests.ops.prometheus_beside import HOST, MISSING, prometheus
from tests.stream.metrics import roles

pytestmark = pytest.mark.timeout(200)


def test_every_panel_has_an_answer(tmp_path: Path) -> None:
    """All six roles are scraped while the worker, scorer and evaluator go on counting."""
    worker, scorer, evaluator = roles.worker(tmp_path), roles.scorer(tmp_path), roles.evaluator(tmp_path)
    registries = roles.registries(tmp_path) | {
        "worker": worker.registry,
        "scorer": scorer.registry,
        "evaluator": evaluator.registry,
    }
    unanswered = {query[0] for board in BOARDS for panel in board.panels for query in panel.queries}
    num_looks = 0
    with contextlib.ExitStack() as stack:
        ports = {}
        for role, registry in registries.items():
            served = serve(registry, HOST, free_port(HOST))
            assert served is not None
            stack.callback(served.close)
            ports[role] = served.port
        asked = stack.enter_context(prometheus(tmp_path / "prometheus", ports))
        if asked is None:
            pytest.skip(MISSING)

        def all_answered() -> bool:
            nonlocal num_looks
            num_looks += 1
            roles.work(worker)
            roles.score(scorer)
            evaluator.reported(roles.report(more=num_looks))
            for expr in sorted(unanswered):
                if asked.answered(expr):
                    unanswered.discard(expr)
            return not unanswered

        eventually(all_answered, timeout_s=150)

    assert unanswered == set(), asked.log.read_text()[-2000:]
