"""Every user's newest list, read from the topic by the order that lists never go back in.

Knows: the recommendations topic, topic generations. Does not know: who asks, titles.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from stream.admin import topic_ids
from stream.clients import read_all
from stream.records import RecommendationList, decode_list
from stream.topics import TopicNames


def newest_lists(
    bootstrap: str,
    names: TopicNames,
    partitions: Sequence[int] | None = None,
    user: str | None = None,
) -> dict[str, RecommendationList]:
    """User → newest list, of some partitions or all, of one user or everybody. Raises BrokerUnreachable.

    Lists whose state belongs to an events topic that has been made anew since are older than any other.
    """
    generation = topic_ids(bootstrap, [names.events]).get(names.events)
    only = None if user is None else user.encode()
    newest: dict[str, tuple[tuple[int, int, int], RecommendationList]] = {}
    for record in read_all(bootstrap, names.recommendations, partitions):
        if only is not None and record.key != only:
            continue
        try:
            made = decode_list(record.value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # not ours; the observer counts them
        order = made.order(int(made.state.topic_id == generation))
        known = newest.get(made.user)
        if known is None or order >= known[0]:
            newest[made.user] = (order, made)
    return {name: made for name, (_, made) in newest.items()}
