"""Every query of every board has an answer from a real Prometheus that scrapes all roles' metrics."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from ops.grafana.boards import BOARDS
from ops.ports import free_port
from ops.processes import eventually
from stream.metrics.exposition import serve
from tests.stream.metrics import roles

HOST = "127.0.0.1"
RULES = Path(__file__).parents[2] / "ops" / "prometheus"
pytestmark = pytest.mark.timeout(200)


def configuration(ports: dict[str, int]) -> str:
    """As ops/prometheus/prometheus.yml, at other ports and every second; JSON is YAML."""
    jobs = [
        {"job_name": job, "static_configs": [{"targets": [f"{HOST}:{port}"]}]} for job, port in ports.items()
    ]
    return json.dumps(
        {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES / "recording.yml"), str(RULES / "alerts.yml")],
            "scrape_configs": jobs,
        }
    )


def test_every_panel_has_an_answer(tmp_path: Path) -> None:
    """All six roles are scraped while the worker, scorer and evaluator go on counting."""
    prometheus = shutil.which("prometheus")
    if prometheus is None:
        pytest.skip("prometheus is not installed (Debian's package `prometheus` has it)")
    worker, scorer, evaluator = roles.worker(tmp_path), roles.scorer(tmp_path), roles.evaluator(tmp_path)
    registries = roles.registries(tmp_path) | {
        "worker": worker.registry,
        "scorer": scorer.registry,
        "evaluator": evaluator.registry,
    }
    address = f"{HOST}:{free_port(HOST)}"
    unanswered = {query[0] for board in BOARDS for panel in board.panels for query in panel.queries}
    num_looks = 0

    def all_answered() -> bool:
        nonlocal num_looks
        num_looks += 1
        roles.work(worker)
        roles.score(scorer)
        evaluator.reported(roles.report(more=num_looks))
        for expr in sorted(unanswered):
            if answered(address, expr.replace("$__rate_interval", "30s")):
                unanswered.discard(expr)
        return not unanswered

    with contextlib.ExitStack() as stack:
        ports = {}
        for role, registry in registries.items():
            served = serve(registry, HOST, free_port(HOST))
            assert served is not None
            stack.callback(served.close)
            ports[role] = served.port
        file = tmp_path / "prometheus.yml"
        file.write_text(configuration(ports))
        log = stack.enter_context((tmp_path / "log").open("wb"))
        process = subprocess.Popen(
            [
                prometheus,
                f"--config.file={file}",
                f"--storage.tsdb.path={tmp_path / 'data'}",
                f"--web.listen-address={address}",
            ],
            stdout=log,
            stderr=log,
        )
        stack.callback(process.wait)
        stack.callback(process.terminate)
        eventually(all_answered, timeout_s=150)

    assert unanswered == set(), (tmp_path / "log").read_text()[-2000:]


def answered(address: str, expr: str) -> bool:
    """Whether Prometheus has at least one series for it; no while it does not answer yet."""
    query = urllib.parse.urlencode({"query": expr, "time": f"{time.time():.3f}"})
    try:
        with urllib.request.urlopen(f"http://{address}/api/v1/query?{query}", timeout=10) as answer:
            return bool(json.load(answer)["data"]["result"])
    except OSError:
        return False
