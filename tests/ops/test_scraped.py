"""Roles of a demo never fight for a port."""

from __future__ import annotations

import os
import socket

import pytest

from ops.demo.scraped import take_ports
from ops.ports import free_port
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
