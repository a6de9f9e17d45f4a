"""Roles of a demo never fight for a port."""

from __future__ import annotations

import os
import socket

import httpx
import pytest

from ops.demo.scraped import replay_shown, take_ports
from ops.ports import free_port, is_free
from ops.replay import Progress
from stream.settings import load

HOST = "127.0.0.1"


def test_a_port_that_is_taken_is_replaced_and_one_that_is_off_stays_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The worker gets another one, told by its environment; the scorer keeps its own."""
    monkeypatch.delenv("HOPSTREAM_METRICS__WORKER_PORT", raising=False)
    monkeypatch.delenv("HOPSTREAM_METRICS__SCORER_PORT", raising=False)
    with socket.create_server((HOST, 0)) as held:
        taken, free = held.getsockname()[1], free_port(HOST)
        ports = {"worker_port": taken, "scorer_port": free, "evaluator_port": 0, "trainer_port": 0}
        told = take_ports(load(overrides={"metrics": ports}, environment={}))
        given = int(os.environ["HOPSTREAM_METRICS__WORKER_PORT"])
    monkeypatch.delenv("HOPSTREAM_METRICS__WORKER_PORT")

    assert given not in (0, taken, free)
    assert told == f"worker http://{HOST}:{given}/metrics, scorer http://{HOST}:{free}/metrics"
    assert "HOPSTREAM_METRICS__SCORER_PORT" not in os.environ


def test_a_demos_replay_is_told_while_it_runs() -> None:
    """How far it is stands at its port, which is named and free again afterwards."""
    port, said = free_port(HOST), []
    settings = load(overrides={"metrics": {"replay_port": port}}, environment={})
    with replay_shown(settings, said.append) as show:
        show(Progress(acknowledged=7, total=9, seconds=1.0, event_ms=5000, waiting=True))
        told = httpx.get(f"http://{HOST}:{port}/metrics").text

    assert "hopstream_replay_events_total 7.0" in told
    assert "hopstream_replay_waiting 1.0" in told
    assert said == [f"[metrics] replay http://{HOST}:{port}/metrics"]
    assert is_free(HOST, port)
