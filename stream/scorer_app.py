"""Composition root of the scorer: settings → the role with its clients, desk and versions.

Knows: what the role is made of. Does not know: signals, exit codes, what a turn does.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from model.memory import MemoryConfig
from model.provisional import ProvisionalConfig
from stream import clients
from stream.admin import cluster_id, ensure_topics, topic_ids
from stream.batcher import Limits
from stream.contending import Contenders
from stream.header_log import HeaderLog
from stream.hotswap import HotSwap
from stream.metrics.exposition import serve
from stream.metrics.scorer import ScorerMetrics
from stream.recent import Recent
from stream.run_scorer import BATCHES_PER_TURN, Parts, Role
from stream.scorer_checkpoint import Checkpoint
from stream.scoring import Desk
from stream.settings import Settings
from stream.standing_in import MAX_ROWS
from stream.statedir import place_of
from stream.takeover import Back, tail
from stream.topics import TopicNames

#: A fetch leaves out partitions whose last records are not taken yet, and it is the only one under way: as
#: long as it waits for others, their next clicks wait too. At Kafka's 500 ms a user's burst waited 0.4 s.
FETCH_MAX_WAIT_MS = 20


def build(settings: Settings, bootstrap: str, ready_file: Path | None) -> Role:
    """The role, connected. Raises BrokerUnreachable, TopicMismatch."""
    return assemble(settings, bootstrap, ready_file, following(settings), contending(settings))


def following(settings: Settings) -> HotSwap:
    """Versions of the configured directory, each loaded with its digests checked."""
    from model.registry import Registry  # torch comes in here, not where a role is assembled
    from model.seed import seed_of
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
            brought=partial(seed_of, registry, version),
        )

    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="adopt")
    return HotSwap(registry.current, load, executor, scorer.max_batch)


def contending(settings: Settings) -> Contenders:
    """Other versions of the configured directory, judged beside the one that serves."""
    from model.registry import Registry
    from stream.serving import Serving

    registry = Registry(settings.models.dir)
    scorer = settings.scorer

    def load(version: str) -> Serving:
        return Serving(
            registry.load(version),
            0,
            device=scorer.device,
            cache_bytes=scorer.cache_mb << 20,
            threads=scorer.threads,
            filter_seen=scorer.filter_seen,
        )

    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="contend")
    return Contenders(load, executor, scorer.max_batch)


def assemble(
    settings: Settings,
    bootstrap: str,
    ready_file: Path | None,
    swap: HotSwap,
    contenders: Contenders | None = None,
) -> Role:
    """The role around a way to get versions; topics that do not exist yet are made.

    Raises BrokerUnreachable, TopicMismatch.
    """
    scorer = settings.scorer
    names = TopicNames(settings.kafka.prefix)
    ensure_topics(bootstrap, names, settings.kafka.partitions)
    checkpoint = _checkpoint(settings, bootstrap, names)
    learned = checkpoint.restore(
        {*settings.events.negative, *settings.events.neutral},
        MemoryConfig(max_items=scorer.memory_items),
        ProvisionalConfig(worth=scorer.row_worth, max_items=MAX_ROWS),
    )
    desk = Desk(
        learned.learner,
        leading=learned.leading,
        stand_ins=learned.stand_ins,
        contenders=contenders,
        topic=names.requests,
        top_n=scorer.top_n,
        max_batch=scorer.max_batch,
        filter_seen=scorer.filter_seen,
        clock_ms=lambda: time.time() * 1000,
        metrics=ScorerMetrics(scorer.data_dir),
    )
    role = Role(
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
            header_log=HeaderLog(Back(bootstrap, names.requests).read, learned.requests),
            checkpoint=checkpoint,
            tail=partial(tail, bootstrap),
        )
    )
    _show_metrics(role, settings)
    return role


def _show_metrics(role: Role, settings: Settings) -> None:
    """What is counted elsewhere is read when somebody asks; then everything answers at the role's port."""
    parts, metrics = role.parts, role.parts.desk.metrics
    learner, recent = parts.desk.learner, parts.recent
    metrics.watch("hopstream_memory_items", "Items that the fast memory keeps.", lambda: len(learner.memory))
    waiting = "Users who wait for a list of the new version."
    metrics.watch("hopstream_rescore_waiting_users", waiting, lambda: recent.waiting)
    lost = "Requests that were gone before they were read; their users are asked for again."
    metrics.watch("hopstream_requests_lost_total", lost, lambda: role.lost_requests)
    refused = "Published versions that did not prove themselves."
    metrics.watch("hopstream_versions_refused_total", refused, lambda: parts.swap.refused)
    unjudged = "Published versions that could not be loaded to be judged beside what serves."
    contenders = parts.desk.contenders
    metrics.watch(
        "hopstream_contenders_refused_total", unjudged, lambda: contenders.refused if contenders else 0
    )
    serve(metrics.registry, settings.metrics.host, settings.metrics.scorer_port)


def _checkpoint(settings: Settings, bootstrap: str, names: TopicNames) -> Checkpoint:
    """Its file belongs to this host, cluster and generation of the topic, which its offsets are of."""
    topic_id = topic_ids(bootstrap, [names.requests])[names.requests]
    return Checkpoint(
        place_of(settings.scorer.data_dir, cluster_id(bootstrap), topic_id),
        settings.scorer.snapshot_ms / 1000,
        ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint"),
    )
