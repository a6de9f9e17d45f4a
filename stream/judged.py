"""How far the stream is judged: the limit of what may be trained on.

Knows: the evaluator's commits on the events topic. Does not know: who asks, how events are judged.
"""

from __future__ import annotations

from stream import admin
from stream.settings import Settings
from stream.topics import TopicNames


def judged_through(bootstrap: str, settings: Settings) -> dict[int, int]:
    """Partition → offset before which every event was judged or declared unjudged, as committed.

    Empty where no evaluator ever ran; then the worker's commits are the limit, those of the group
    `TopicNames.worker_app`. Raises BrokerUnreachable.
    """
    names = TopicNames(settings.kafka.prefix)
    return admin.committed(bootstrap, names.evaluator_group, names.events)
