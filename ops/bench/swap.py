"""What ten new versions cost whoever clicks meanwhile: nobody's list is lost, and how long lists take.

Knows: the scorer's own loop, desk and adopting threads on clients that are made up; clicks that come on time
whether or not the loop is ready for them; a registry of eleven versions of an untrained network of the
default shape, each the parent of the next. Time counts from when a click was due until its list was sent.
Does not know: Kafka: what a broker adds is the same with and without a swap.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.catalogue import Catalogue
from model.config import ModelConfig, TrainConfig
from model.memory import Memory, MemoryConfig
from model.mme import FuxiMME
from model.names import pack_record, under
from model.popularity import Popularity
from model.provisional import ProvisionalConfig, ProvisionalRows
from model.registry import CURRENT, Registry
from model.themes import ThemeTable
from model.version import Trained
from ops.bench.harness import Bar, Report
from ops.bench.wire import PARTITIONS, Due, Wire
from stream.batcher import Limits
from stream.events import Interaction
from stream.header_log import HeaderLog
from stream.history import Rules, User
from stream.leading import Leading
from stream.learning import Learner
from stream.partition import partition_of
from stream.recent import Recent
from stream.records import decode_list
from stream.requests import Cause, build
from stream.run_scorer import Parts, Role
from stream.scorer_app import contending, following
from stream.scorer_checkpoint import Checkpoint
from stream.scoring import Desk
from stream.settings import Settings, load
from stream.standing_in import MAX_ROWS, StandIns
from stream.themes import Router
from stream.topics import TopicNames

SEED = 0
SWAPS = 10
RATE = 200  # clicks per second
USERS = 300  # who take turns, all within 1.5 s; the default cache holds 494 sequences
SAMPLE_SHARE = 0.1  # of users; two more versions are asked about their lists
PAST = 100  # events of each before the measure begins
ITEMS, NEW_ITEMS = 20_000, MAX_ROWS
NEW_SHARE = 0.05  # of clicks that go to items which no version knows
#: From one publication to the next; the first comes after as long.
EVERY_S = 12.0
#: After a version serves, its caches are cold and users wait for fresh lists: that belongs to the swap.
SETTLES_S = 2.0
#: Before the first publication, not counted.
WARMUP_S = 2.0
#: Nobody takes over here: a loop that a busy machine holds up is measured, not ended.
UNDISTURBED_MS = 3_600_000
SHARES = (0.5, 0.95, 0.99, 1.0)
TIMES_P99 = 2.0  # promised in one run
SIZES = {"rate": RATE, "share": SAMPLE_SHARE, "users": USERS, "items": ITEMS, "new_items": NEW_ITEMS}
DURING, WITHOUT = "during swaps", "without"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of the clicks."""

    swaps: list[tuple[float, float]]  # (published, serves), seconds
    taken_s: dict[str, list[float]]  # DURING, WITHOUT → from due to list
    lost: int  # requests that no list of their user knows


def run() -> Report:
    """One role, one run; some two and a half minutes."""
    torch.manual_seed(SEED)
    with tempfile.TemporaryDirectory() as directory:
        outcome = measured(Path(directory), swaps=SWAPS, every_s=EVERY_S, rate=RATE, users=USERS)
    quantiles = {name: _quantiles(taken_s) for name, taken_s in outcome.taken_s.items()}
    serves_s = [serves - published for published, serves in outcome.swaps]
    times = quantiles[DURING]["p99"] / quantiles[WITHOUT]["p99"]
    num = sum(map(len, outcome.taken_s.values())) + outcome.lost
    return Report(
        bench="swap",
        seed=SEED,
        rows=[],
        bars=[
            Bar(name="requests with a list, %", value=100 * (1 - outcome.lost / num), at_least=100),
            Bar(
                name=f"{TIMES_P99:g} times the p99 without, over p99 during",
                value=TIMES_P99 / times,
                at_least=1,
            ),
        ],
        notes={
            "requests": num,
            "lost": outcome.lost,
            "over_100_ms": {name: sum(one > 0.1 for one in all_s) for name, all_s in outcome.taken_s.items()},
            "swaps": len(outcome.swaps),
            "publication_to_serving_s": [round(seconds, 2) for seconds in serves_s],
            "latency_ms": quantiles,
            "sizes": SIZES,
        },
        findings=[
            f"{len(outcome.swaps)} swaps under {RATE}/s: {outcome.lost} of {num:,} requests lost",
            *(
                f"{name}: {', '.join(f'{q} {ms} ms' for q, ms in of.items())}"
                for name, of in quantiles.items()
            ),
            f"p99 during swaps: {times:.2f} times that without; publication to serving: "
            f"median {np.median(serves_s):.1f} s, most {max(serves_s):.1f} s",
        ],
    )


def _quantiles(taken_s: Sequence[float]) -> dict[str, float]:
    """In milliseconds."""
    found = np.quantile(np.array(taken_s) * 1e3, SHARES)
    return {f"p{100 * share:g}": round(float(ms), 1) for share, ms in zip(SHARES, found, strict=True)}


def measured(
    directory: Path, *, swaps: int, every_s: float, rate: int, users: int, items: int = ITEMS
) -> Outcome:
    """Publish ``swaps`` versions, one by one, beside a role that answers ``rate`` requests per second."""
    overrides: dict[str, dict[str, Any]] = {
        "models": {"dir": directory / "models"},
        "scorer": {"device": "cpu"},
    }
    settings = load(overrides=overrides, environment={})
    words = _published(settings.models.dir, swaps + 1, items)
    requests = _requests(round(rate * every_s * (swaps + 1)), rate, users, items)
    names = TopicNames("")
    wire = Wire(names, requests[::-1])
    role = _role(settings, wire, directory)
    wire.stop = role.stop
    published_s: list[float] = []

    def publish() -> None:
        """The registry's word of each moment, put in place as a publication would."""
        while not wire.began_s:
            time.sleep(0.01)
        for number, word in enumerate(words[1:], 1):
            with suppress(ValueError):  # late already
                time.sleep(wire.began_s + number * every_s - time.monotonic())
            (settings.models.dir / ".new").write_bytes(word)
            published_s.append(time.monotonic() - wire.began_s)
            os.replace(settings.models.dir / ".new", settings.models.dir / CURRENT)

    with ThreadPoolExecutor(1) as publisher:
        publishing = publisher.submit(publish)
        role.run()
        publishing.result()
    return outcome_of(requests, wire, published_s)


def _published(directory: Path, num: int, items: int) -> list[bytes]:
    """``num`` versions, each the child of the one before; the registry's word after each of them, and the
    first one's in place."""
    registry, words = Registry(directory), []
    catalogue = Catalogue([f"i{number}" for number in range(items)])
    config = ModelConfig()
    network = FuxiMME(config, catalogue.num_rows).eval().requires_grad_(False)
    themes_IK = np.random.default_rng(SEED).normal(size=(items, 8)).astype(np.float32)
    parent = None
    for _ in range(num):
        network.items.add_(0.01 * torch.randn_like(network.items))
        trained = Trained(
            config=config,
            train_config=TrainConfig(seed=SEED),
            catalogue=catalogue,
            weights={name: weight.numpy() for name, weight in network.state_dict().items()},
            index=network.item_index().numpy(),
            themes=ThemeTable(catalogue, themes_IK, [f"theme {number}" for number in range(8)]),
            popularity=np.arange(items, 0, -1, dtype=np.int64),
            learning_curve=[],
            metrics={},
            num_events=0,
            data_digest="untrained",
            parent=parent,
        )
        parent = registry.publish(trained).name
        words.append((directory / CURRENT).read_bytes())
    (directory / CURRENT).write_bytes(words[0])
    return words


def _requests(num: int, rate: int, users: int, items: int) -> list[Due]:
    """What the worker asks after each click, users in turn, at even distances."""
    chance = random.Random(SEED)
    rules, router = Rules(), Router()
    states = {f"u{number}": User.new("t") for number in range(users)}
    offsets, asked = [0] * PARTITIONS, [0] * PARTITIONS  # of the next record: events, requests
    made: list[Due] = []
    for number in range(-users * PAST, num):
        name = f"u{number % users}"
        partition = partition_of(name, PARTITIONS)
        new = chance.random() < NEW_SHARE
        item = f"new{chance.randrange(NEW_ITEMS)}" if new else f"i{chance.randrange(items)}"
        due_s = number / rate
        click = Interaction(ts=1_700_000_000_000 + round(1000 * due_s), user=name, item=item, type="click")
        states[name].apply(click, "t", offsets[partition], rules, router)
        offsets[partition] += 1
        if number >= 0:
            cause = Cause(user=name, partition=partition, type="click", produced_ms=0)
            raw = build(states[name], router, cause, sample_share=SAMPLE_SHARE)
            knows = offsets[partition] - 1
            made.append(Due(due_s, partition, asked[partition], name.encode(), raw, knows))
            asked[partition] += 1
    return made


def _role(settings: Settings, wire: Wire, directory: Path) -> Role:
    """As scorer_app.assemble makes it, but for clients; a scorer that has been at it for a while."""
    scorer = settings.scorer
    desk = Desk(
        Learner(Popularity(), (), Memory(MemoryConfig(max_items=scorer.memory_items))),
        leading=Leading(),
        stand_ins=_full(ProvisionalConfig(max_items=MAX_ROWS)),
        contenders=contending(settings),
        topic=wire.names.requests,
        top_n=scorer.top_n,
        max_batch=scorer.max_batch,
        filter_seen=scorer.filter_seen,
        clock_ms=lambda: time.time() * 1000,
    )
    client: Any = wire
    return Role(
        Parts(
            names=wire.names,
            consumer=client,
            producer=client,
            desk=desk,
            swap=following(settings),
            recent=Recent(scorer.rescore_users),
            limits=Limits(max_batch=scorer.max_batch, max_wait_ms=scorer.max_wait_ms),
            session_timeout_ms=UNDISTURBED_MS,
            rescore_users=scorer.rescore_users,
            ready_file=None,
            header_log=HeaderLog(lambda *_: ()),
            checkpoint=Checkpoint(directory, scorer.snapshot_ms / 1000, ThreadPoolExecutor(1)),
            tail=lambda _topic, partitions, _num: {partition: [] for partition in partitions},
        )
    )


def _full(config: ProvisionalConfig) -> StandIns:
    """As many rows as there can be, as many clicks behind each: what an adoption has to restack."""
    model = ModelConfig()
    chance = np.random.default_rng(SEED)
    rows = ProvisionalRows((model.streams, model.stream_dim), config)
    for number in range(config.max_items):
        for vector_D in chance.normal(size=(config.clicks, model.dim)):
            rows.recall(f"new{number}", vector_D)
    made = StandIns(config)
    made.restore({"version": pack_record("000001"), **under("rows", rows.to_arrays())})
    return made


def outcome_of(requests: Sequence[Due], wire: Wire, published_s: Sequence[float]) -> Outcome:
    """Each request is answered by the first list of its user that knows its event."""
    known: dict[str, list[tuple[int, float]]] = {}  # user → (offset, moment) in the order they were sent
    serves_s: dict[int, float] = {}
    for at_s, value in wire.lists:
        made = decode_list(value)
        known.setdefault(made.user, []).append((made.state.offset, at_s))
        serves_s.setdefault(made.epoch, at_s)
    swaps = [(began_s, serves_s[epoch]) for epoch, began_s in enumerate(published_s, 2) if epoch in serves_s]
    taken_s: dict[str, list[float]] = {DURING: [], WITHOUT: []}
    lost = 0
    for due in requests:
        lists = known.get(due.key.decode(), [])
        answered_s = next((at_s for offset, at_s in lists if offset >= due.knows), None)
        if answered_s is None:
            lost += 1
        elif due.due_s >= WARMUP_S:
            swapping = any(begins - 0.5 <= due.due_s < serves + SETTLES_S for begins, serves in swaps)
            taken_s[DURING if swapping else WITHOUT].append(answered_s - due.due_s)
    return Outcome(swaps=swaps, taken_s=taken_s, lost=lost)
