"""A server's parts made by hand: one small version, lists, states, and a broker that is a list.

Knows: how to make each part. Does not know: what a test is about.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np

from model.catalogue import Catalogue
from model.config import ModelConfig
from model.registry import Registry
from model.themes import ThemeTable
from model.version import Version
from ops.server import app
from ops.server.answers import Answering
from ops.server.feed import Feed
from ops.server.parts import Health, Parts, Place, Record
from ops.server.problems import Unavailable
from ops.server.rules import Rules
from ops.server.scene import Scene
from ops.server.shelf import Shelf
from ops.server.telemetry import Telemetry
from ops.server.versions import Mapped, Versions
from ops.server.view import View
from stream import history
from stream.events import Interaction, Item
from stream.records import RecommendationList, Scored, StateRef, encode_list
from stream.themes import Router
from stream.topics import TopicNames

NUM_ITEMS = 40
DIM = 8
ITEMS = [f"i{number}" for number in range(NUM_ITEMS)]
TOPIC_ID = "topic"


def version(name: str = "000002", seed: int = 0, items: Sequence[str] = ITEMS) -> Version:
    """Random lines, the items' popularity falling with their place, two themes."""
    random = np.random.default_rng(seed)
    catalogue = Catalogue(items)
    index_ID = random.normal(size=(len(items), DIM)).astype(np.float32)
    index_ID /= np.linalg.norm(index_ID, axis=1, keepdims=True)
    logits_IK = np.stack([np.arange(len(items)) % 2, 1 - np.arange(len(items)) % 2], axis=1)
    return Version(
        name=name,
        epoch=2,
        manifest={},
        config=ModelConfig(dim=DIM, streams=1, heads=1, experts=1),
        catalogue=catalogue,
        weights={},
        index=index_ID,
        themes=ThemeTable(catalogue, logits_IK.astype(np.float32), ["even", "odd"]),
        popularity=np.arange(len(items), 0, -1, dtype=np.int64),
    )


def unit_vector(seed: int) -> np.ndarray:
    vector_D = np.random.default_rng(seed).normal(size=DIM)
    return (vector_D / np.linalg.norm(vector_D)).astype(np.float32)


def packed(vector_D: np.ndarray) -> str:
    return base64.b64encode(vector_D.astype(np.float16).tobytes()).decode()


def made_list(
    user: str = "ann",
    of: Version | None = None,
    *,
    seen: Sequence[str] = (),
    offset: int = 5,
    top_n: int = 10,
    seed: int = 1,
) -> RecommendationList:
    """What a scorer makes: the best of the whole catalogue by exact scores, without seen items."""
    of = of or version()
    vector_D = unit_vector(seed)
    scores_I = of.index @ vector_D
    best = [place for place in np.argsort(-scores_I, kind="stable") if of.catalogue.items[place] not in seen]
    return RecommendationList(
        id=f"list-{user}-{offset}",
        user=user,
        items=[
            Scored(item=of.catalogue.items[at], score=round(float(scores_I[at]), 6)) for at in best[:top_n]
        ],
        model=of.name,
        state=StateRef(topic_id=TOPIC_ID, partition=0, offset=offset, events=len(seen)),
        epoch=2,
        vector=packed(vector_D),
        made_ms=1,
    )


def state(items: Sequence[str], offset: int = 5, rejected: Sequence[str] = ()) -> bytes:
    """A user's stored state after clicks on these items, and dislikes of the rejected ones."""
    user = history.User.new(TOPIC_ID)
    clicks = [(item, "click") for item in items] + [(item, "dislike") for item in rejected]
    for number, (item, kind) in enumerate(clicks):
        event = Interaction(ts=1000 * (number + 1), user="u", item=item, type=kind)
        user.apply(event, TOPIC_ID, offset, history.Rules(), Router())
    user.value.applied = offset
    return user.to_bytes()


@dataclass
class Broker:
    """Keeps what it is sent; `away` refuses, `silent` never answers."""

    records: list[Record] = field(default_factory=list)
    away: bool = False
    silent: bool = False

    async def send(self, records: Sequence[Record]) -> list[Place]:
        if self.away:
            raise Unavailable("The broker does not answer; nothing was stored.")
        if self.silent:
            await asyncio.Event().wait()
        places = [Place(0, len(self.records) + ahead) for ahead in range(len(records))]
        self.records += records
        return places


class Hall:
    """A server of hand-made parts; `client` speaks to it."""

    def __init__(
        self,
        models: Path,
        *,
        rules: Rules | None = None,
        token: str | None = None,
        max_bytes: int = 100_000,
        requests_per_s: int = 100_000,
        timeout_s: float = 5.0,
        wait_s: float = 0.01,
        status_file: Path | None = None,
    ) -> None:
        self.now_s = 100.0
        self.telemetry = Telemetry()
        self.broker = Broker()
        self.view = View(1 << 20)
        self.view.generation = TOPIC_ID
        self.shelf = Shelf(1000)
        self.feed = Feed()
        self.scene = Scene(status_file)
        self.health = Health(broker_away=False, behind=0, caught_up=True, producing=True)
        self.answering = Answering(
            view=self.view,
            shelf=self.shelf,
            rules=rules or Rules(),
            filter_seen=True,
            versions=Versions(epoch=2, current=Mapped(version())),
            on_hits=self.telemetry.chosen,
        )
        self.parts = Parts(
            answering=self.answering,
            feed=self.feed,
            scene=self.scene,
            telemetry=self.telemetry,
            health=self.health,
            sender=self.broker,
            registry=Registry(models),
            models_dir=models,
            names=TopicNames("t."),
            refresh=self.refresh,
            token=token,
            max_events=100,
            wait_s=wait_s,
            clock_s=lambda: self.now_s,
            wall_ms=lambda: 1_700_000_000_000,
        )
        self.asgi = app.build(
            self.parts, max_bytes=max_bytes, requests_per_s=requests_per_s, timeout_s=timeout_s
        )

    async def refresh(self) -> None:
        """The registry is not followed here."""

    def put_list(self, made: RecommendationList) -> None:
        self.view.take_list(made.user.encode(), encode_list(made))

    def put_state(self, user: str, raw: bytes) -> None:
        self.view.take_state(user.encode(), raw, self.now_s)

    def put_item(self, item: str, title: str, *categories: str) -> None:
        self.shelf.put(Item(item=item, title=title, categories=list(categories)))

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(app=self.asgi, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://hall") as client:
            yield client
