"""Composition root of the trainer: settings → the role with its consumer and its folder.

Knows: what the role is made of, that one folder has one trainer. Does not know: signals, cycles.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

import torch

from model.allocator import keep_freed_memory
from model.finetune import TuneConfig
from model.memory import MemoryConfig
from stream import admin, clients
from stream.announcing import announce
from stream.cycles import every_of
from stream.errors import SettingsInvalid, StreamError
from stream.generation import Generation
from stream.history import Rules
from stream.judged import judged_through
from stream.lessons import Lessons
from stream.metrics.exposition import serve
from stream.metrics.trainer import TrainerMetrics
from stream.run_trainer import Parts, Role
from stream.settings import Settings
from stream.telling_cycles import Cycled
from stream.topics import TopicNames
from stream.training import Training, Where


class TrainerRuns(StreamError):
    """Another trainer keeps its snapshot in this directory; stop it, or choose another `trainer.data_dir`
    and `models.dir`."""


def step_back(nice: int) -> None:
    """Let other processes go first. Linux shares the processor among sessions before it looks at nice values,
    so a trainer with a session of its own, as the demo starts it, lowers that one too."""
    os.nice(max(0, nice - os.nice(0)))
    if os.getsid(0) == os.getpid():
        with suppress(OSError):  # other systems, and kernels without such groups
            Path("/proc/self/autogroup").write_text(str(nice))


def build(
    settings: Settings, bootstrap: str, ready_file: Path | None, tell: Callable[[Cycled], None]
) -> Role:
    """The role, connected, this process slowed down as configured; ``tell`` hears of each cycle.

    Raises BrokerUnreachable, TopicMismatch, TrainerRuns, SettingsInvalid.
    """
    trainer = settings.trainer
    try:
        every = every_of(trainer.every, trainer.clock)
    except ValueError as error:
        raise SettingsInvalid(f"trainer.every: {error} (got {trainer.every!r}).") from None
    names = TopicNames(settings.kafka.prefix)
    admin.ensure_topics(bootstrap, names, settings.kafka.partitions)
    lock = _held(trainer.data_dir)
    step_back(trainer.nice)
    torch.set_num_threads(trainer.threads)
    keep_freed_memory()
    topic_id = admin.topic_ids(bootstrap, [names.events])[names.events]
    training = Training(
        where=Where(
            folder=trainer.data_dir,
            models=settings.models.dir,
            keep_versions=trainer.keep_versions,
            config=TuneConfig(),
            filter_seen=settings.scorer.filter_seen,
        ),
        lessons=Lessons(Rules.of(settings), topic_id, MemoryConfig(max_items=settings.scorer.memory_items)),
        announce=lambda told: announce(bootstrap, names, told),
        num_partitions=settings.kafka.partitions,
        metrics=TrainerMetrics(trainer.data_dir),
    )
    generation = Generation(lambda: admin.shapes(bootstrap, [names.events]))

    def limits() -> dict[int, int]:
        generation.check()
        return _limits(bootstrap, settings, names)

    serve(training.metrics.registry, settings.metrics.host, settings.metrics.trainer_port)
    return Role(
        Parts(
            topic=names.events,
            consumer=clients.consumer(bootstrap, max_poll_records=2000, fetch_max_wait_ms=100),
            training=training,
            every=every,
            limits=limits,
            lock=lock,
            ready_file=ready_file,
            tell=tell,
        )
    )


def _limits(bootstrap: str, settings: Settings, names: TopicNames) -> dict[int, int]:
    """How far the stream is judged; where nobody judges, how far the states know it."""
    return judged_through(bootstrap, settings) or admin.committed(bootstrap, names.worker_app, names.events)


def _held(folder: Path) -> IO[str]:
    """The folder is ours until this process ends: the kernel releases the lock."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / ".lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise TrainerRuns(f"({folder})") from None
    return lock
