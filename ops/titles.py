"""Titles of items, from the items topic.

Knows: item records, of which the newest of an item wins. Does not know: lists, who shows them.
"""

from __future__ import annotations

import time
from collections.abc import Collection

from stream.clients import read_all
from stream.events import Item, decode
from stream.topics import TopicNames


def titles_of(bootstrap: str, names: TopicNames, items: Collection[str]) -> dict[str, str]:
    """Item → title, of those of ``items`` that have one. Raises BrokerUnreachable."""
    if not items:
        return {}
    wanted = {item.encode() for item in items}
    titles: dict[str, str] = {}
    now_ms = round(time.time() * 1000)
    for record in read_all(bootstrap, names.items):
        if record.key in wanted:
            item = decode(record.value, now_ms)
            if isinstance(item, Item) and item.title:
                titles[item.item] = item.title
    return titles
