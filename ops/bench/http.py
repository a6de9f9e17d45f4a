"""What the HTTP server answers per second and how soon, with a broker and eight clients beside it.

Knows: a broker and a server of its own, an untrained version, made-up lists. Does not know: how answers come
about. The lists are sent by us: no worker and no scorer takes part.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import psutil

from model.catalogue import Catalogue
from model.config import ModelConfig, TrainConfig
from model.mme import FuxiMME
from model.registry import Registry
from model.themes import ThemeTable
from model.version import Trained, Version
from ops.bench.caller import answers, request
from ops.bench.harness import Bar, Report, Sample, row
from ops.broker import HOST, Broker
from ops.ports import free_port
from stream import clients
from stream.admin import ensure_topics, topic_ids
from stream.events import Item, encode
from stream.partition import partition_of
from stream.records import RecommendationList, Scored, StateRef, encode_list
from stream.topics import TopicNames

SEED = 0
ITEMS, USERS, TOP_N = 10_000, 2000, 50
CLIENTS = 8
REQUESTS = 2000  # of one repetition
BATCH = 100  # events in one POST
EVENTS = 20_000  # of one repetition
PARTITIONS = 4
WARMUPS, REPEATS = 1, 5
READY_S = 120.0
#: Promised: see the issue's bars.
P99_MS, REQUESTS_PER_S, EVENTS_PER_S = 20.0, 1000.0, 2000.0

#: Shares of requests, one per client.
Work = Sequence[Sequence[bytes]]


@dataclass(frozen=True, slots=True)
class _Measured:
    samples: list[Sample]  # CPU time is the server's
    taken_s: list[float]  # every answer of every repetition

    def percentile_ms(self, share: float) -> float:
        return float(np.quantile(self.taken_s, share)) * 1000


def run() -> Report:
    """Start broker and server, measure four kinds of requests, stop both; about a minute."""
    with tempfile.TemporaryDirectory() as directory, Broker(Path(directory) / "kafka") as broker:
        names = TopicNames("hopstream.")
        ensure_topics(broker.bootstrap, names, PARTITIONS)
        version = Registry(Path(directory) / "models").publish(_untrained())
        _send_lists(broker.bootstrap, names, version)
        with _server(broker.bootstrap, Path(directory)) as (process, port):
            measured = {name: _measure(process, port, work) for name, work in _cases().items()}
    plain, events = measured["recommend"], measured["events, batches of 100"]
    rows = [row(name, one.samples, EVENTS if one is events else REQUESTS) for name, one in measured.items()]
    return Report(
        bench="http",
        seed=SEED,
        rows=rows,
        bars=[
            Bar(
                name=f"recommend, {P99_MS:g} ms over the p99 of {CLIENTS} clients",
                value=P99_MS / plain.percentile_ms(0.99),
                at_least=1.0,
            ),
            Bar(
                name="recommend, requests per second of one core",
                value=rows[0].per_core_s or 0.0,
                at_least=REQUESTS_PER_S,
            ),
            Bar(
                name="events per second, all acknowledged",
                value=EVENTS / (rows[-1].wall_ms / 1000),
                at_least=EVENTS_PER_S,
            ),
        ],
        notes={
            "items": ITEMS,
            "users": USERS,
            "clients": CLIENTS,
            "latency_ms": {
                name: {f"p{share * 100:g}": round(one.percentile_ms(share), 2) for share in (0.5, 0.95, 0.99)}
                for name, one in measured.items()
            },
        },
        findings=[
            f"{name}: p50 {one.percentile_ms(0.5):.2f} ms, p99 {one.percentile_ms(0.99):.2f} ms"
            for name, one in measured.items()
        ],
    )


def _cases() -> dict[str, Work]:
    """Name → requests per client; users and items by chance, the same at every run."""
    chance = random.Random(SEED)

    def user() -> str:
        return f"u{chance.randrange(USERS)}"

    def shared(requests: list[bytes]) -> Work:
        return [requests[start::CLIENTS] for start in range(CLIENTS)]

    def ranked() -> bytes:
        items = [f"i{chance.randrange(ITEMS)}" for _ in range(100)]
        return request("POST", "/rank", json.dumps({"user": user(), "items": items}).encode())

    def batch() -> bytes:
        events = [
            {
                "event": "interaction",
                "ts": 1_700_000_000_000 + number,
                "user": user(),
                "item": f"i{chance.randrange(ITEMS)}",
                "type": "click",
            }
            for number in range(BATCH)
        ]
        return request("POST", "/events", json.dumps(events).encode())

    return {
        "recommend": shared([request("GET", f"/recommend/{user()}?n=10") for _ in range(REQUESTS)]),
        "recommend, one category of 20": shared(
            [request("GET", f"/recommend/{user()}?n=10&category=c3") for _ in range(REQUESTS)]
        ),
        "rank 100 candidates": shared([ranked() for _ in range(REQUESTS)]),
        f"events, batches of {BATCH}": shared([batch() for _ in range(EVENTS // BATCH)]),
    }


def _measure(process: psutil.Process, port: int, work: Work) -> _Measured:
    samples, taken = [], []
    for turn in range(WARMUPS + REPEATS):
        cpu = process.cpu_times()
        began_s = time.perf_counter()
        seconds = asyncio.run(answers(HOST, port, work))
        wall_s = time.perf_counter() - began_s
        now = process.cpu_times()
        if turn >= WARMUPS:
            samples.append(Sample(wall_s=wall_s, cpu_s=now.user + now.system - cpu.user - cpu.system))
            taken += seconds
    return _Measured(samples, taken)


@contextmanager
def _server(bootstrap: str, directory: Path) -> Iterator[tuple[psutil.Process, int]]:
    """A server that has read everything there is."""
    port = free_port(HOST)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HOPSTREAM_")},
        "HOPSTREAM_SERVER__REQUESTS_PER_S": "1000000",
        "HOPSTREAM_MODELS__DIR": str(directory / "models"),
    }
    command = [sys.executable, "-m", "ops.cli", "server", "--port", str(port), "--bootstrap", bootstrap]
    with (directory / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        ends_s = time.monotonic() + READY_S
        while not _ready(port):
            if process.poll() is not None or time.monotonic() > ends_s:
                raise RuntimeError((directory / "server.log").read_text())
            time.sleep(0.1)
        yield psutil.Process(process.pid), port
    finally:
        process.terminate()
        process.wait(20)


def _ready(port: int) -> bool:
    try:
        told = httpx.get(f"http://{HOST}:{port}/health/ready", timeout=5).json()
    except httpx.TransportError:
        return False
    return bool(told["ready"]) and told["lists"] == USERS and told["model"] is not None


def _untrained() -> Trained:
    """A version of the default shape that nobody trained: ranking costs what it costs."""
    catalogue = Catalogue([f"i{number}" for number in range(ITEMS)])
    config = ModelConfig()
    network = FuxiMME(config, catalogue.num_rows)
    themes_IK = np.random.default_rng(SEED).normal(size=(ITEMS, 8)).astype(np.float32)
    return Trained(
        config=config,
        train_config=TrainConfig(seed=SEED),
        catalogue=catalogue,
        weights={name: weight.detach().numpy() for name, weight in network.state_dict().items()},
        index=network.item_index().detach().numpy(),
        themes=ThemeTable(catalogue, themes_IK, [f"theme {number}" for number in range(8)]),
        popularity=np.arange(ITEMS, 0, -1, dtype=np.int64),
        learning_curve=[],
        metrics={},
        num_events=0,
        data_digest="untrained",
    )


def _send_lists(bootstrap: str, names: TopicNames, version: Version) -> None:
    """A list per user from a vector by chance, and a record per item with one of twenty categories."""
    chance = np.random.default_rng(SEED)
    topic_id = topic_ids(bootstrap, [names.events])[names.events]
    sender = clients.producer(bootstrap)
    for number, item in enumerate(version.catalogue.items):
        record = Item(item=item, title=f"Title {number}", categories=[f"c{number % 20}"])
        sender.send(names.items, encode(record), item.encode())
    for number in range(USERS):
        user = f"u{number}"
        drawn_D = chance.normal(size=version.index.shape[1])
        vector_D = (drawn_D / np.linalg.norm(drawn_D)).astype(np.float32)
        scores_I = version.index @ vector_D
        best = np.argsort(-scores_I, kind="stable")[:TOP_N]
        made = RecommendationList(
            id=user,
            user=user,
            items=[
                Scored(item=version.catalogue.items[at], score=round(float(scores_I[at]), 6)) for at in best
            ],
            model=version.name,
            state=StateRef(topic_id=topic_id, partition=0, offset=number, events=1),
            epoch=1,
            vector=base64.b64encode(vector_D.astype(np.float16).tobytes()).decode(),
        )
        partition = partition_of(user, PARTITIONS)
        sender.send(names.recommendations, encode_list(made), user.encode(), partition=partition)
    sender.flush(timeout=60)
    sender.close()
