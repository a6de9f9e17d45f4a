"""The stream as it stood at a moment: states folded anew from the events topic, lists read from theirs.

Knows: which topics remember what. Does not know: verbs, what is shown.

Events are kept for ever, so any state can be rebuilt. Its sessions' themes are those of the router given
here: which version froze a theme long ago stands only in the changelog's newest value. Lists are compacted
after a day: of an older moment the list itself may be gone, and the version's own ranking takes its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from stream.admin import existing, topic_ids
from stream.clients import read_all
from stream.events import Forget, Interaction, Malformed, Rescore, decode_record
from stream.history import Rules, User
from stream.moment import Moment
from stream.partition import partition_of
from stream.records import RecommendationList, decode_list
from stream.settings import Settings
from stream.themes import Router
from stream.topics import TopicNames


@dataclass(slots=True)
class Then:
    """One user's state at a moment."""

    user: User
    partition: int
    written_ms: int  # timestamp of the newest record that is in it


def states_then(
    bootstrap: str,
    names: TopicNames,
    rules: Rules,
    at: Moment,
    *,
    only: str | None = None,
    router: Router | None = None,
) -> dict[bytes, Then]:
    """User id → state after every event that lay on the topic by then, applied once in order; ``only``: of
    one user. Raises BrokerUnreachable."""
    found: dict[bytes, Then] = {}
    router = router or Router()
    num_partitions = existing(bootstrap, [names.events]).get(names.events)
    if num_partitions is None:
        return found
    wanted = None if only is None else only.encode()
    partitions = None if only is None else [partition_of(only, num_partitions)]
    for record in read_all(bootstrap, names.events, partitions):
        if (wanted is not None and record.key != wanted) or not at.has_event(record.offset, record.timestamp):
            continue
        event = decode_record(record.key, record.value, record.timestamp)
        if isinstance(event, Malformed):
            continue  # a dead letter
        then = found.setdefault(record.key, Then(User.new("fold"), record.partition, record.timestamp))
        then.written_ms = record.timestamp
        if isinstance(event, Interaction):
            then.user.apply(event, "fold", record.offset, rules, router)
        elif isinstance(event, Forget):
            then.user.forget("fold", record.offset, record.timestamp)
        elif isinstance(event, Rescore):
            then.user.rescore("fold", record.offset)
    return found


def lists_then(
    bootstrap: str, names: TopicNames, at: Moment, *, only: str | None = None
) -> dict[str, RecommendationList]:
    """User → newest list that lay on the topic by then, of those that are still there; newest in the order
    that lists never go back in. Raises BrokerUnreachable."""
    topic_id = topic_ids(bootstrap, [names.events]).get(names.events)
    num_partitions = existing(bootstrap, [names.recommendations]).get(names.recommendations)
    if num_partitions is None:
        return {}
    partitions = None if only is None else [partition_of(only, num_partitions)]
    found: dict[str, RecommendationList] = {}
    for record in read_all(bootstrap, names.recommendations, partitions):
        if only is not None and record.key != only.encode():
            continue
        try:
            made = decode_list(record.value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # the observer and the evaluator count them
        if made.state.topic_id != topic_id or not at.has_list(made.state.offset, record.timestamp):
            continue
        if made.user not in found or made.order() >= found[made.user].order():
            found[made.user] = made
    return found


def version_then(directory: Path, written_ms: int) -> str | None:
    """The newest version that was published by then; None before the first. A rollback leaves no trace of its
    time, so a list that is still there knows better. Raises VersionDamaged."""
    from model.registry import Registry
    from model.store import MANIFEST

    published = [
        name
        for name in Registry(directory).list()
        if (directory / name / MANIFEST).stat().st_mtime_ns // 10**6 <= written_ms
    ]
    return published[-1] if published else None


def ranking_then(
    settings: Settings, version: str, user: str, then: Then, num: int
) -> list[tuple[str, float]]:
    """The ``num`` best items of a version's model for a state: (item, score), best first; the fast memory,
    new items' rows and the leader of that moment are not in it. Raises ModelError."""
    from model.registry import Registry
    from stream.asking import Asking
    from stream.requests import Cause, build
    from stream.serving import Serving

    loaded = Registry(settings.models.dir).load(version)
    serving = Serving(
        loaded,
        0,
        device=settings.scorer.device,
        cache_bytes=settings.scorer.cache_mb * 1024 * 1024,
        threads=settings.scorer.threads,
        filter_seen=settings.scorer.filter_seen,
    )
    cause = Cause(user=user, partition=then.partition, type="inspect", produced_ms=then.written_ms)
    raw = build(then.user, Router(loaded.themes, version), cause, sample_share=0.0)
    asking = Asking(raw, then.partition, 0, then.written_ms)
    if not asking.header.lengths[0]:
        return []
    place = serving.rank([asking], num).places[0]
    pairs = zip(place.items[:num], place.scores, strict=False)
    return [(item, round(float(score), 6)) for item, score in pairs] if place.known else []
