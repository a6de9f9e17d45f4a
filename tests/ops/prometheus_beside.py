"""A real Prometheus beside a test: scrapes ports of this machine every second, by our rules.

Knows: Debian's prometheus, its configuration and its queries. Does not know: who is scraped, what is asked.
"""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.ports import free_port
from ops.processes import spawn, stop

HOST = "127.0.0.1"
RULES = Path(__file__).parents[2] / "ops" / "prometheus"
MISSING = "prometheus is not installed (Debian's package `prometheus` has it)"


def configuration(ports: Mapping[str, int]) -> str:
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


@dataclass(frozen=True, slots=True)
class Prometheus:
    """One that runs."""

    address: str
    log: Path

    def answered(self, expr: str) -> bool:
        """Whether there is a series for it now; no while Prometheus does not answer yet."""
        try:
            return bool(self._get("query", query=_filled(expr), time=f"{time.time():.3f}")["result"])
        except OSError:
            return False

    def drawn(self, expr: str, since_s: float) -> bool:
        """Whether a panel over the time since then (Unix seconds) would show a number. Raises OSError."""
        found = self._get(
            "query_range", query=_filled(expr), start=f"{since_s:.3f}", end=f"{time.time():.3f}", step="1"
        )
        return any(math.isfinite(float(value)) for series in found["result"] for _, value in series["values"])

    def told(self) -> set[str]:
        """Every metric that a role names now, also without a sample. Raises OSError."""
        return set(self._get("metadata"))

    def _get(self, what: str, **asked: str) -> Any:
        url = f"http://{self.address}/api/v1/{what}?{urllib.parse.urlencode(asked)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]


def _filled(expr: str) -> str:
    """With Grafana's interval."""
    return expr.replace("$__rate_interval", "30s")


@contextlib.contextmanager
def prometheus(folder: Path, ports: Mapping[str, int]) -> Iterator[Prometheus | None]:
    """Runs inside the block and keeps its files in ``folder``; None where it is not installed.

    ``ports``: job → where it is scraped.
    """
    found = shutil.which("prometheus")
    if found is None:
        yield None
        return
    folder.mkdir(parents=True)
    (folder / "prometheus.yml").write_text(configuration(ports))
    made = Prometheus(f"{HOST}:{free_port(HOST)}", folder / "log")
    with made.log.open("wb") as log:
        process: subprocess.Popen[bytes] = spawn(
            [
                found,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={made.address}",
            ],
            output=log,
        )
        try:
            yield made
        finally:
            stop(process, 20)
