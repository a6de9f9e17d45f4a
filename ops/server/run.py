"""Composition root of the server: real parts, uvicorn around them, a clean stop.

Knows: everything once. Does not know: what a route or a record does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from model.registry import Registry
from ops import options, ports
from ops.errors import PortBusy
from ops.server import app, schema
from ops.server.answers import Answering
from ops.server.clicks import Clicks, ClickTimes
from ops.server.feed import Feed
from ops.server.follower import Batch, Follower
from ops.server.parts import Health, Parts
from ops.server.rules import Rules
from ops.server.scene import Scene
from ops.server.sender import Sender
from ops.server.shelf import Shelf
from ops.server.telemetry import Telemetry
from ops.server.versions import follow
from ops.server.view import View
from stream.errors import SettingsInvalid
from stream.events import Item, decode
from stream.settings import Settings
from stream.topics import TopicNames

log = logging.getLogger("hopstream.server")

#: How often the registry is asked, and how often rates are told.
VERSIONS_S = 0.5
RATES_S = 1.0
#: Open streams and slow answers get so long at the end.
STOP_S = 2
#: A thread that reads may hold the interpreter so long before the loop gets its turn.
SWITCH_S = 0.0005


def token_of(settings: Settings, environment: dict[str, str]) -> str | None:
    """The bearer token: of the file, else of $HOPSTREAM_TOKEN, else none. Raises SettingsInvalid."""
    file = settings.server.token_file
    if file is None:
        return environment.get("HOPSTREAM_TOKEN") or None
    try:
        token = file.expanduser().read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f"server.token_file {file} cannot be read: {error}.") from None
    if not token:
        raise SettingsInvalid(f"server.token_file {file} is empty.")
    return token


class Server:
    """One server process."""

    def __init__(
        self, settings: Settings, bootstrap: str, token: str | None, status_file: Path | None = None
    ) -> None:
        server, rules = settings.server, settings.rules
        telemetry, health = Telemetry(), Health()
        self._settings = settings
        self._view = View(server.view_mb * 1024 * 1024)
        self._shelf = Shelf(server.max_items)
        self._feed = Feed()
        self._names = TopicNames(settings.kafka.prefix)
        self._sender = Sender(bootstrap, health)
        self._health = health
        self._follower = Follower(
            bootstrap,
            self._names,
            settings.kafka.partitions,
            health,
            take=self.take,
            generation=self._generation,
        )
        self._scene = Scene(status_file)
        self._clicks = ClickTimes(bootstrap, self._names.events, take=self._clicked)
        self.parts = Parts(
            answering=Answering(
                view=self._view,
                shelf=self._shelf,
                rules=Rules.parsed(rules.hide, rules.boost, rules.cap_per_category),
                filter_seen=settings.scorer.filter_seen,
                on_hits=telemetry.chosen,
            ),
            feed=self._feed,
            scene=self._scene,
            telemetry=telemetry,
            health=health,
            sender=self._sender,
            registry=Registry(settings.models.dir),
            models_dir=settings.models.dir,
            names=self._names,
            refresh=self.refresh,
            token=token,
            max_events=server.max_events,
            wait_s=server.wait_ms / 1000,
            clock_s=time.monotonic,
            wall_ms=lambda: round(time.time() * 1000),
        )
        self._view.on_list = lambda user, raw: self._feed.tell("list", raw, user)
        for what, kept in (("lists", self._view.lists), ("states", self._view.states)):
            telemetry.watch(f"hopstream_view_{what}", f"Users whose newest {what} are kept.", kept.__len__)
        telemetry.watch("hopstream_view_records_behind", "Records not read yet.", lambda: health.behind or 0)

    def asgi(self) -> ASGIApp:
        """The application with its limits."""
        server = self._settings.server
        return app.build(
            self.parts,
            max_bytes=server.max_body_kb * 1024,
            requests_per_s=server.requests_per_s,
            timeout_s=server.timeout_ms / 1000,
        )

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Everything beside the answers: topics followed, versions mapped, rates told."""
        await self.refresh()
        self._follower.start(asyncio.get_running_loop())
        self._clicks.start(asyncio.get_running_loop())
        tasks = [asyncio.create_task(work()) for work in (self._sender.connect, self._versions, self._rates)]
        try:
            yield
        finally:
            self._follower.stop()
            self._clicks.stop()
            self._feed.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._sender.close()

    def take(self, batch: Batch) -> None:
        """Records of the followed topics."""
        names, now_s = self._names, time.monotonic()
        for topic, key, value in batch:
            if topic == names.recommendations:
                self._view.take_list(key, value)
                if value is not None and self._health.caught_up:
                    self._scene.pulse.made(value, time.time() * 1000)
            elif topic == names.changelog:
                self._view.take_state(key, value, now_s)
            elif topic == names.items:
                self._item(key, value)
            elif value is None:
                continue
            elif topic == names.quality:
                self._scene.quality(value)
                self._tell("quality", value)
            elif self._health.caught_up:
                self._tell("version", value)

    def _item(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            self._shelf.drop(key.decode(errors="replace"))
            return
        item = decode(value, self.parts.wall_ms())
        if isinstance(item, Item):
            self._shelf.put(item)

    def _tell(self, event: str, value: bytes) -> None:
        """A record as it lies on its topic, if it is JSON; on one line, as the stream needs it."""
        with contextlib.suppress(ValueError):
            self._feed.tell(event, json.dumps(json.loads(value)).encode())

    def _generation(self, topic_id: str | None) -> None:
        self._view.generation = topic_id

    async def refresh(self) -> None:
        """Look at the registry; a version is loaded in a thread."""
        answering = self.parts.answering
        before = answering.versions
        answering.versions = await asyncio.to_thread(follow, self.parts.registry, before)
        now, metrics = answering.versions, self.parts.telemetry.versions
        metrics.wanted(now.epoch if now.seen is None else now.seen[1])
        if now.current is not None and (now.epoch, now.current) != (before.epoch, before.current):
            log.info("version %s (epoch %d) is mapped", now.current.name, now.epoch)
            metrics.adopted(now.current.name, now.epoch, time.time())
            themes = now.current.version.themes
            self.parts.telemetry.themed(themes.labels, now.current.theme_sizes, now.drift)
            told = {"model": now.current.name, "epoch": now.epoch, "withdrawn": sorted(now.withdrawn)}
            self._feed.tell("version", json.dumps(told).encode())

    async def _versions(self) -> None:
        while True:
            await asyncio.sleep(VERSIONS_S)
            await self.refresh()

    async def _rates(self) -> None:
        tally = self._view.tally
        before, at_s = (tally.states, tally.lists), time.monotonic()
        while True:
            await asyncio.sleep(RATES_S)
            now, now_s = (tally.states, tally.lists), time.monotonic()
            passed_s = now_s - at_s
            told = {
                "events_per_s": round((now[0] - before[0]) / passed_s, 1),
                "lists_per_s": round((now[1] - before[1]) / passed_s, 1),
                "behind": self._health.behind,
            }
            before, at_s = now, now_s
            self._feed.tell("rates", json.dumps(told).encode())
            tick, running = self._scene.tick(time.time() * 1000)
            self._feed.tell("tick", schema.encode(tick))
            if running is not None:
                self._feed.tell("run", schema.encode(running))

    def _clicked(self, clicks: Clicks) -> None:
        for partition, offset, produced_ms in clicks:
            self._scene.pulse.click(partition, offset, produced_ms)


def run(settings: Settings, bootstrap: str, ready_file: Path | None, status_file: Path | None = None) -> None:
    """Blocks; returns after a clean stop (SIGTERM, SIGINT). ``status_file``: what a demo says of itself.

    Raises PortBusy, SettingsInvalid.
    """
    host, port = settings.server.host, settings.server.port
    server = Server(settings, bootstrap, token_of(settings, dict(os.environ)), status_file)
    listening = _socket(host, port)
    address = f"http://{host}:{listening.getsockname()[1]}"
    sys.setswitchinterval(SWITCH_S)
    config = uvicorn.Config(
        server.asgi(),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # anybody could name another address in them, and have another's rate
        timeout_graceful_shutdown=STOP_S,
        lifespan="off",
    )

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        async with server.following():
            serving = _Uvicorn(config)

            def stop() -> None:
                serving.should_exit = True
                server.parts.feed.close()

            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, stop)
            task = asyncio.create_task(serving.serve([listening]))
            while not serving.started and not task.done():
                await asyncio.sleep(0.01)
            log.info("server ready at %s, the API's page at %s/docs", address, address)
            options.mark_ready(ready_file)
            await task

    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(serve())


class _Uvicorn(uvicorn.Server):
    """uvicorn without its signal handlers, which end the process by the signal; ours is status 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _socket(host: str, port: int) -> socket.socket:
    """Taken before anything else starts, so that a busy port is said at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
    except OSError as error:
        made.close()
        holder = ports.holder(port)
        raise PortBusy(f"({host}:{port}: {error.strerror}; held by {holder})") from None
    made.set_inheritable(True)
    return made
