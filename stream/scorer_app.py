"""Composition root of the scorer: settings → the role with its clients, desk and versions.

Knows: what the role is made of. Does not know: signals, exit codes, what a turn does.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from model.popularity import Popularity
from stream import clients
from stream.admin import ensure_topics
from stream.batcher import Limits
from stream.hotswap import HotSwap
from stream.learning import Learner
from stream.recent import Recent
from stream.run_scorer import BATCHES_PER_TURN, Parts, Role
from stream.scoring import Desk
from stream.settings import Settings
from stream.takeover import tail
from stream.topics import TopicNames

#: A fetch leaves out partitions whose last records are not taken yet, and it is the only one under way: as
#: long as it waits for others, their next clicks wait too. At Kafka's 500 ms a user's burst waited 0.4 s.
FETCH_MAX_WAIT_MS = 20


def build(settings: Settings, bootstrap: str, ready_file: Path | None) -> Role:
    """The role, connected. Raises BrokerUnreachable, TopicMismatch."""
    return assemble(settings, bootstrap, ready_file, following(settings))


def following(settings: Settings) -> HotSwap:
    """Versions of the configured directory, each loaded with its digests checked."""
    from model.registry import Registry  # torch comes in here, not where a role is assembled
    from stream.serving import Serving

    registry = Registry(settings.models.dir)
    scorer = settings.scorer

    def load(version: str, epoch: int) -> Serving:
        return Serving(
            registry.load(version),
            epoch,
            device=scorer.device,
            cache_bytes=scorer.cache_mb * 1024 * 1024,
            threads=scorer.threads,
            filter_seen=scorer.filter_seen,
        )

    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="adopt")
    return HotSwap(registry.current, load, executor, scorer.max_batch)


def assemble(settings: Settings, bootstrap: str, ready_file: Path | None, swap: HotSwap) -> Role:
    """The role around a way to get versions; topics that do not exist yet are made.

    Raises BrokerUnreachable, TopicMismatch.
    """
    scorer = settings.scorer
    names = TopicNames(settings.kafka.prefix)
    ensure_topics(bootstrap, names, settings.kafka.partitions)
    desk = Desk(
        Learner(Popularity(), {*settings.events.negative, *settings.events.neutral}),
        topic=names.requests,
        top_n=scorer.top_n,
        max_batch=scorer.max_batch,
        filter_seen=scorer.filter_seen,
        clock_ms=lambda: time.time() * 1000,
    )
    return Role(
        Parts(
            names=names,
            consumer=clients.consumer(
                bootstrap,
                group=names.scorer_group,
                session_timeout_ms=scorer.session_timeout_ms,
                max_poll_records=BATCHES_PER_TURN * scorer.max_batch,
                fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
            ),
            producer=clients.producer(bootstrap, linger_ms=0),
            desk=desk,
            swap=swap,
            recent=Recent(scorer.rescore_users),
            limits=Limits(max_batch=scorer.max_batch, max_wait_ms=scorer.max_wait_ms),
            session_timeout_ms=scorer.session_timeout_ms,
            rescore_users=scorer.rescore_users,
            ready_file=ready_file,
            tail=partial(tail, bootstrap),
        )
    )
