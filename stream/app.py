"""The worker's composition root: settings → a Faust app with its agent, table and tasks.

Knows: Faust's configuration and which real parts the agent gets. Does not know: what an event does to a
state (history.py) or the order of steps (agents.py). Importing it starts nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

import faust

from stream import admin
from stream.acks import Acks
from stream.agents import Parts, follow_events
from stream.consumer import App, patient_recovery
from stream.generation import Generation
from stream.history import Rules
from stream.metrics.worker import WorkerMetrics
from stream.settings import Settings
from stream.statedir import state_directory
from stream.statetable import StateTable
from stream.tending import Tended, give_up, tend
from stream.topics import TopicNames
from stream.users import Users
from stream.watchdog import Pulse

log = logging.getLogger("hopstream.worker")


def build(settings: Settings, bootstrap: str, ready_file: Path | None = None) -> faust.App:
    """A Faust app for one worker. Asks the broker for ids, so it must answer (BrokerUnreachable)."""
    names = TopicNames(settings.kafka.prefix)
    admin.ensure_topics(bootstrap, names, settings.kafka.partitions)
    ids = admin.topic_ids(bootstrap, [names.events, names.changelog])
    cluster = admin.wait_for_broker(bootstrap)
    directory = state_directory(
        settings.worker.data_dir, cluster.cluster_id, ids[names.changelog], time.time()
    )
    app = _faust_app(settings, bootstrap, names, directory)
    patient_recovery(app)
    pulse = Pulse(limit_s=settings.worker.session_timeout_ms / 2000)
    parts = _parts(app, settings, names, ids[names.events], pulse)
    _watch(parts)
    events = app.topic(names.events, key_type=bytes, value_type=bytes, **_RAW)
    app.agent(events, name="events")(_agent(parts))
    tend(
        Tended(
            app=app,
            parts=parts,
            settings=settings,
            bootstrap=bootstrap,
            events_topic=names.events,
            generation=Generation(lambda: admin.shapes(bootstrap, [names.events, names.changelog])),
            directory=directory,
            pulse=pulse,
            ready_file=ready_file,
        )
    )
    return app


def _watch(parts: Parts) -> None:
    """What is counted elsewhere is read when somebody asks."""
    metrics, users, acks = parts.metrics, parts.users, parts.acks
    metrics.watch(
        "hopstream_events_in_flight",
        "Events between application and acknowledgement.",
        lambda: acks.in_flight,
    )
    metrics.watch("hopstream_cached_users", "Decoded user states in memory.", users.__len__)


_RAW: dict[str, Any] = {"key_serializer": "raw", "value_serializer": "raw"}


def _faust_app(settings: Settings, bootstrap: str, names: TopicNames, directory: Path) -> faust.App:
    timeout_s = settings.worker.session_timeout_ms / 1000
    return App(
        names.worker_app,
        broker=f"kafka://{bootstrap}",
        datadir=str(directory),
        store="rocksdb://",
        Table=StateTable,
        topic_partitions=settings.kafka.partitions,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        web_enabled=False,
        broker_session_timeout=timeout_s,
        broker_heartbeat_interval=timeout_s / 3,
        broker_commit_interval=1.0,
        # a worker without partitions does not poll and must stay in the group; stalls are the watchdog's
        broker_max_poll_interval=10 * 365 * 86_400.0,
        producer_linger=settings.worker.linger_ms / 1000,
        producer_acks=-1,
        stream_buffer_maxsize=16384,  # at 4096 a full buffer pauses fetching for a second
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,  # on a rebalance, what is not acknowledged simply comes again
    )


def _parts(app: faust.App, settings: Settings, names: TopicNames, topic_id: str, pulse: Pulse) -> Parts:
    table: Any = app.Table(
        "users",
        partitions=settings.kafka.partitions,
        key_type=bytes,
        value_type=bytes,
        options={
            "driver": "rocksdict",
            "block_cache_size": 16 * 1024 * 1024,
            "write_buffer_size": 8 * 1024 * 1024,
            "max_write_buffer_number": 2,
        },
    )
    requests = app.topic(names.requests, key_type=bytes, value_type=bytes, **_RAW)
    dead_letters = app.topic(names.dead_letters, key_type=bytes, value_type=bytes, **_RAW)
    return Parts(
        users=Users(table, settings.worker.cached_users),
        acks=Acks(
            settings.worker.max_unacknowledged, lambda error: give_up(f"a record was not taken: {error!r}")
        ),
        rules=Rules.of(settings),
        sample_share=settings.worker.sample_share,
        topic=names.events,
        topic_id=lambda: topic_id,
        changelog_sent=lambda: table.sent,
        send_request=_sender(requests),
        send_dead_letter=_sender(dead_letters),
        still_ours=lambda event: (
            app.flow_control.is_active() and event.message.generation_id == app.consumer_generation_id
        ),
        metrics=WorkerMetrics(settings.worker.data_dir),
        may_go_on=lambda: None if pulse.alive(time.monotonic()) else give_up("the process was paused"),
    )


def _sender(topic: Any) -> Any:
    def send(key: bytes | None, value: bytes, partition: int | None, headers: dict[str, bytes]) -> Any:
        return topic.send_soon(key=key, value=value, partition=partition, headers=headers)

    return send


def _agent(parts: Parts) -> Any:
    async def events(stream: Any) -> None:
        # Faust would acknowledge the failing event and restart the agent: the event would be lost.
        try:
            await follow_events(stream, parts)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # the process's last line
            log.exception("the agent failed")
            give_up(repr(error))

    return events
