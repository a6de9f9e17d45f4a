"""Composition root of the evaluator: settings → the role with its clients and its folder.

Knows: what the role is made of, that one folder has one evaluator. Does not know: signals, verdicts.
"""

from __future__ import annotations

import fcntl
import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, Final

from model.errors import ModelError
from stream import clients
from stream.admin import ensure_topics, shapes, topic_ids
from stream.errors import StreamError
from stream.evaluator import Evaluator
from stream.generation import Generation
from stream.groups import WarmStart, first_version
from stream.history import Rules
from stream.metrics.evaluator import EvaluatorMetrics
from stream.metrics.exposition import serve
from stream.overlap import Through
from stream.run_evaluator import Parts, Role
from stream.settings import Settings
from stream.topics import TopicNames

log = logging.getLogger("hopstream.evaluator")

#: How long a first version that could not be read is left alone.
AGAIN_S: Final = 30.0


class EvaluatorRuns(StreamError):
    """Another evaluator keeps its snapshot in this directory; stop it, or choose another `evaluator.data_dir`
    and `kafka.prefix`."""


def build(settings: Settings, bootstrap: str, ready_file: Path | None) -> Role:
    """The role, connected. Raises BrokerUnreachable, TopicMismatch, EvaluatorRuns."""
    names = TopicNames(settings.kafka.prefix)
    ensure_topics(bootstrap, names, settings.kafka.partitions)
    folder = settings.evaluator.data_dir
    lock = _held(folder)
    topic_id = topic_ids(bootstrap, [names.events])[names.events]
    evaluator = Evaluator(
        Rules.of(settings),
        topic_id,
        settings.kafka.partitions,
        sample_share=settings.worker.sample_share,
        filter_seen=settings.scorer.filter_seen,
        window=settings.evaluator.window,
        trained_through=partial(through, settings.models.dir, topic_id),
    )
    metrics = EvaluatorMetrics(folder)
    read = [names.events, names.judgements, names.recommendations]
    serve(metrics.registry, settings.metrics.host, settings.metrics.evaluator_port)
    return Role(
        Parts(
            names=names,
            consumer=clients.consumer(
                bootstrap, group=names.evaluator_group, max_poll_records=2000, gather=True
            ),
            producer=clients.producer(bootstrap),
            evaluator=evaluator,
            folder=folder,
            lock=lock,
            report_ms=settings.evaluator.report_ms,
            ready_file=ready_file,
            first_version=Looking(settings.models.dir),
            check=Generation(lambda: shapes(bootstrap, read)).check,
            metrics=metrics,
        )
    )


def _held(folder: Path) -> IO[str]:
    """The folder is ours until this process ends: the kernel releases the lock."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / ".lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise EvaluatorRuns(f"({folder})") from None
    return lock


def through(directory: Path, topic_id: str, version: str) -> Through | None:
    """How far a published version was trained on this topic; None where its manifest cannot be read."""
    from model.registry import Registry  # torch comes in here, as in groups.py
    from model.version import trained_through

    try:
        manifest = Registry(directory).manifest(version)
    except (ModelError, OSError) as error:
        log.warning("how far version %s was trained is not known: %s", version, error)
        return None
    return trained_through(manifest, topic_id)


class Looking:
    """Looks for the first version; one that cannot be read is told once, and tried again after AGAIN_S."""

    def __init__(self, directory: Path, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._directory = directory
        self._clock_s = clock_s
        self._again_s: float | None = None  # None: nothing has failed yet

    def __call__(self) -> WarmStart | None:
        if self._again_s is not None and self._clock_s() < self._again_s:
            return None
        try:
            return first_version(self._directory)
        except (ModelError, OSError) as error:
            if self._again_s is None:
                log.warning("the first version cannot be read, groups stay unknown: %s", error)
            self._again_s = self._clock_s() + AGAIN_S
            return None
