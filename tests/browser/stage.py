"""The page's server on a port of its own, with hand-made parts: a click becomes a list by one small rule.

Knows: uvicorn in a thread, what a worker and a scorer would do with a click. Does not know: browsers.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn

from ops.server.parts import Place, Record
from ops.server.versions import Mapped
from stream import history
from stream.events import Interaction, decode
from stream.records import Quality, RecommendationList, Scored, StateRef, ThemeWeight, encode_quality
from stream.themes import Router
from tests.model.tiny_version import trained
from tests.ops.server.hall import ITEMS, TOPIC_ID, Hall, packed, version

TITLES = {item: f"{'Ocean' if number % 2 else 'Desert'} tale {number}" for number, item in enumerate(ITEMS)}


def two_themes() -> Mapped:
    """Even items lie on one side of the room, odd ones on the other."""
    made = version()
    index_ID = made.index.copy()
    index_ID[::2, 0], index_ID[1::2, 0] = 3.0, -3.0
    index_ID /= np.linalg.norm(index_ID, axis=1, keepdims=True)
    made.index[:] = index_ID
    return Mapped(made)


class Stage:
    """Runs until `close`; `do` changes something on the server's own thread."""

    def __init__(self, folder: Path, *, token: str | None = None) -> None:
        self.hall = Hall(folder, token=token, wait_s=2.0)
        self.hall.parts.sender = self  # type: ignore[assignment]
        self.hall.parts.clock_s = time.monotonic
        self.hall.parts.wall_ms = lambda: round(time.time() * 1000)
        self._clicked: dict[str, list[str]] = {}
        self.weight: float | None = None  # of the model in the lists from now on; None: no memory serves
        self._offset = 0
        config = uvicorn.Config(
            self.hall.asgi, port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/"

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._server.serve())
        self._loop.close()

    def do(self, work: Callable[[], Any]) -> Any:
        """On the server's thread; waits for it."""
        done: Future[Any] = Future()
        self._loop.call_soon_threadsafe(lambda: done.set_result(work()))
        return done.result(10)

    def close(self) -> None:
        if self._thread.is_alive():
            self.do(self.hall.feed.close)
            self._server.should_exit = True
            self._thread.join(10)

    def furnish(self) -> None:
        """Titles, a version with two themes, one judged line, one second of the stream."""

        def work() -> None:
            hall = self.hall
            hall.answering.versions = type(hall.answering.versions)(epoch=2, current=two_themes())
            for item, title in TITLES.items():
                hall.put_item(item, title)
            hall.parts.registry.publish(trained())
            for line, value in (("served", 0.12), ("model", 0.1), ("popular", 0.05)):
                told = Quality(
                    line=line,
                    metrics={"recall@10": value, "low": value - 0.01, "high": value + 0.01, "ndcg@10": 0.05},
                    events=1000,
                    users=200,
                    upto={"0": 1000},
                )
                hall.scene.quality(encode_quality(told))
            self._list("somebody", ["i2", "i4"])
            self.second()

        self.do(work)

    def second(self) -> None:
        """What the real server does once a second; call it by `do`."""
        tick, _ = self.hall.scene.tick(time.time() * 1000)
        from ops.server import schema

        self.hall.feed.tell("tick", schema.encode(tick))

    async def send(self, records: Sequence[Record]) -> list[Place]:
        """Takes clicks as the broker, and answers each as worker and scorer would."""
        self.hall.view.on_list = lambda user, raw: self.hall.feed.tell("list", raw, user)
        places = []
        for record in records:
            self._offset += 1
            self.hall.scene.pulse.click(0, self._offset, time.time() * 1000)
            event = decode(record.value, round(time.time() * 1000))
            assert isinstance(event, Interaction)
            self._clicked.setdefault(event.user, []).append(event.item)
            self._loop.call_later(0.02, self._list, event.user, self._clicked[event.user], self._offset)
            places.append(Place(0, self._offset))
        return places

    def _list(self, name: str, clicked: Sequence[str], offset: int = 0) -> None:
        mapped = self.hall.answering.versions.current
        assert mapped is not None
        user = history.User.new(TOPIC_ID)
        for number, item in enumerate(clicked):
            event = Interaction(ts=1000 * (number + 1), user=name, item=item, type="click")
            user.apply(event, TOPIC_ID, offset, history.Rules(), Router(mapped.version.themes, mapped.name))
        user.value.applied = offset
        self.hall.put_state(name, user.to_bytes())
        vector_D = mapped.index_ID[[mapped.places[item] for item in clicked]].mean(0)
        scores_I = mapped.index_ID @ vector_D
        best = [at for at in np.argsort(-scores_I, kind="stable") if mapped.items[at] not in clicked][:10]
        made = RecommendationList(
            id=f"{name}-{offset}",
            user=name,
            items=[Scored(item=mapped.items[at], score=round(float(scores_I[at]), 6)) for at in best],
            model=mapped.name,
            state=StateRef(topic_id=TOPIC_ID, partition=0, offset=offset, events=len(clicked)),
            epoch=2,
            themes=[ThemeWeight(id=0, weight=0.9, label="even")],
            experts=[[0.7, 0.3], [0.0, 1.0]],
            vector=packed(vector_D.astype(np.float32)),
            memory={} if self.weight is None else {mapped.items[at]: 0.5 for at in best},
            weight=self.weight,
            made_ms=1,
        )
        self.hall.put_list(made)
        self.hall.scene.pulse.made(self.hall.view.lists.get(name).raw, time.time() * 1000)  # type: ignore[union-attr]
