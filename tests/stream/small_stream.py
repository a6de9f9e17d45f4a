"""A small made-up stream with its judgements: what the tests of the evaluator feed and compare.

Knows: records as they lie on the topics. Does not know: brokers.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from stream.events import Interaction, encode
from stream.history import Rules
from stream.intake import EVENTS, JUDGEMENTS, LISTS, Place, Record
from stream.records import (
    Judgement,
    Line,
    RecommendationList,
    Scored,
    StateRef,
    encode_judgement,
    encode_list,
)

RULES = Rules(gap_ms=1000, keep_events=264)
PARTITIONS = 2


@dataclass(frozen=True)
class Lying:
    """A record and where it lies."""

    place: Place
    record: Record


def partition_of(user: str) -> int:
    return int(user[1:]) % PARTITIONS


def stream(num_events: int = 300, users: int = 12, items: int = 30, seed: int = 0) -> list[Lying]:
    """Events of users u0, u1, … with the judgement and the list of each state, in the order of their times.

    The line "good" holds the user's next item in the first place, "served" in every third list.
    """
    random_ = random.Random(seed)
    who = [f"u{random_.randrange(users)}" for _ in range(num_events)]
    what = [f"i{random_.randrange(items)}" for _ in range(num_events)]
    next_item: list[str] = []
    newest: dict[str, str] = {}
    for user, item in zip(reversed(who), reversed(what), strict=True):
        next_item.append(newest.get(user, "none"))
        newest[user] = item
    next_item.reverse()
    found: list[Lying] = []
    ends = dict.fromkeys(
        [(role, number) for role in (EVENTS, JUDGEMENTS, LISTS) for number in range(PARTITIONS)], 0
    )

    def lay(role: str, user: str, value: bytes, written_ms: int) -> int:
        place = (role, partition_of(user))
        record = Record(
            partition=place[1],
            offset=ends[place],
            key=user.encode(),
            value=value,
            written_ms=written_ms,
        )
        found.append(Lying(place, record))
        ends[place] += 1
        return record.offset

    for number, (user, item, coming) in enumerate(zip(who, what, next_item, strict=True)):
        now_ms = 1_000_000 + 1000 * number
        event = Interaction(ts=now_ms, user=user, item=item, type="click", id=str(number))
        offset = lay(EVENTS, user, encode(event), now_ms)
        state = StateRef(topic_id="t", partition=partition_of(user), offset=offset, events=1)
        others = [f"i{one}" for one in range(20) if f"i{one}" != coming]
        lines = {
            "good": Line(version=None, items=[coming, *others]),
            "served": Line(version="000001", items=[coming, *others] if number % 3 == 0 else others),
        }
        made = Judgement(user=user, state=state, epoch=1, lines=lines, made_ms=now_ms)
        lay(JUDGEMENTS, user, encode_judgement(made), now_ms + 5)
        shown = RecommendationList(
            id="l",
            user=user,
            items=[Scored(item=one, score=1.0) for one in lines["served"].items],
            model="000001",
            state=state,
            epoch=1,
        )
        lay(LISTS, user, encode_list(shown), now_ms + 6)
    return found
