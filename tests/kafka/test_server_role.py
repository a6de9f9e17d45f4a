"""The server on a real broker, beside a worker and a scorer: a click is read back, a user is forgotten."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ops.broker import HOST, Broker
from ops.ports import free_port
from ops.processes import eventually
from tests.kafka.town import ROOT, Town

SCRIPT = Path(__file__).with_name("scorer_process.py")

pytestmark = pytest.mark.timeout(300)


class Counter:
    """A server and a scorer of one town, and what a client sees of them."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.port = free_port(HOST)
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        ready = town.folder / "scorer.ready"
        arguments = [town.broker.bootstrap, town.names.prefix, str(town.folder / "current"), str(ready)]
        self._start("scorer", [str(SCRIPT), *arguments], ready)
        ready = town.folder / "server.ready"
        address = ["--port", str(self.port), "--bootstrap", town.broker.bootstrap]
        self._start("server", ["-m", "ops.cli", "server", *address, "--ready-file", str(ready)], ready)
        self.client = httpx.Client(base_url=f"http://{HOST}:{self.port}", timeout=20)
        town.wait_until(lambda: self.client.get("/health/ready").status_code == 200, "a ready server")

    def _start(self, name: str, arguments: list[str], ready: Path) -> None:
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("HOPSTREAM_")},
            "PYTHONPATH": str(ROOT),
            "HOPSTREAM_KAFKA__PREFIX": self.town.names.prefix,
            "HOPSTREAM_MODELS__DIR": str(self.town.folder / "models"),
            "HOPSTREAM_SERVER__WAIT_MS": "8s",
        }
        with (self.town.folder / f"{name}.log").open("wb") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, *arguments], cwd=ROOT, env=environment, stdout=log, stderr=log
            )
        self.town.wait_until(lambda: ready.exists(), f"{name} ready")

    def click(self, user: str, item: str, ts_ms: int) -> int:
        """The offset of an accepted click."""
        event = {"event": "interaction", "ts": ts_ms, "user": user, "item": item, "type": "click"}
        answer = self.client.post("/events", json=event)
        assert answer.status_code == 202, answer.text
        return int(answer.json()["accepted"][0]["offset"])

    def recommend(self, user: str, **query: Any) -> dict[str, Any]:
        answer = self.client.get(f"/recommend/{user}", params=query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def stop(self) -> None:
        self.client.close()
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            process.wait(20)


@pytest.fixture
def counter(broker: Broker, prefix: str, tmp_path: Path) -> Iterator[Counter]:
    town = Town(broker, prefix, tmp_path)
    try:
        town.start()
        made = Counter(town)
        try:
            yield made
        finally:
            made.stop()
    finally:
        town.stop()


def test_a_click_is_read_back_and_a_user_is_forgotten(counter: Counter) -> None:
    """The list asked for with the click's offset knows it; after the erasure nothing does; a dead scorer is
    named; a server that is told to stop ends with status 0."""
    first = counter.click("ann", "i1", 1000)
    second = counter.click("ann", "i2", 2000)

    known = counter.recommend("ann", min_offset=second)
    assert second == first + 1
    assert (known["state"]["offset"], known["state"]["events"]) == (second, 2)
    told = counter.client.get("/users/ann").json()
    assert [event["item"] for event in told["sessions"][0]["events"]] == ["i1", "i2"]

    erased = counter.client.delete("/users/ann")
    assert erased.status_code == 202
    after = counter.recommend("ann", min_offset=erased.json()["offset"])
    assert (after["list"], after["state"]) == (None, None)
    assert after["degraded"] in ("popular", "no model yet")
    counter.town.wait_until(lambda: counter.client.get("/users/ann").status_code == 404, "forgotten")

    counter.recommend("bob", min_offset=counter.click("bob", "i1", 3000))
    counter.running["scorer"].kill()
    late = counter.click("bob", "i2", 4000)
    assert counter.recommend("bob", min_offset=late)["degraded"] == "no model yet"
    assert counter.recommend("bob")["state"]["offset"] < late

    counter.running["server"].terminate()
    assert counter.running["server"].wait(20) == 0


def test_a_broker_that_stands_still_is_an_answer_in_time(counter: Counter) -> None:
    """Events get 503 with Retry-After, lists go on; when the broker goes on, so do events."""
    counter.recommend("ann", min_offset=counter.click("ann", "i1", 1000))
    event = {"event": "interaction", "ts": 2000, "user": "ann", "item": "i2", "type": "click"}
    os.kill(counter.town.broker.pid, signal.SIGSTOP)
    try:
        began_s = time.monotonic()
        refused = counter.client.post("/events", json=event)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert time.monotonic() - began_s < 15
        assert counter.recommend("ann")["state"]["events"] == 1
    finally:
        os.kill(counter.town.broker.pid, signal.SIGCONT)

    def goes_on() -> bool:
        return counter.client.post("/events", json=event).status_code == 202

    assert eventually(goes_on, 60)
    counter.town.wait_until(
        lambda: counter.recommend("ann")["state"]["events"] == 2, "both clicks, each once"
    )
