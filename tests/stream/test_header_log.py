"""How far requests of others are learned, against a topic that is a list."""

from __future__ import annotations

from dataclasses import dataclass

from stream.events import Interaction
from stream.header_log import REACH, HeaderLog
from stream.history import Rules, User
from stream.records import Header
from stream.requests import Cause, build
from stream.themes import Router


@dataclass
class Record:
    """A request as kafka-python hands it over."""

    offset: int
    value: bytes


def topic(num: int) -> list[Record]:
    user = User.new("t")
    records = []
    for offset in range(num):
        user.apply(
            Interaction(ts=1000 + offset, user="ann", item=f"i{offset}", type="click"),
            "t",
            offset,
            Rules(),
            Router(),
        )
        raw = build(
            user, Router(), Cause(user="ann", partition=0, type="click", produced_ms=0), sample_share=0.0
        )
        records.append(Record(offset, raw))
    return records


class Reader:
    """Hands over what is asked for and remembers it."""

    def __init__(self, records: list[Record]) -> None:
        self.records = records
        self.asked: list[tuple[int, int, int]] = []

    def read(self, partition: int, start: int, end: int) -> list[Record]:
        self.asked.append((partition, start, end))
        return self.records[start:end]


def test_nothing_beyond_what_was_committed_is_learned() -> None:
    """Bit by bit up to the commit, each request once, and then nothing until the commit moves."""
    reader, learned = Reader(topic(8)), list[Header]()
    log = HeaderLog(reader.read)

    for committed in (5, 5, 5, 7):
        log.catch_up(0, committed, learned.append, limit=3)

    assert [one.offset for one in learned] == [0, 1, 2, 3, 4, 5, 6]
    assert reader.asked == [(0, 0, 3), (0, 3, 5), (0, 5, 7)]


def test_what_a_turn_has_learned_is_not_read_again() -> None:
    """Neither before nor after it was committed."""
    reader, learned = Reader(topic(8)), list[Header]()
    log = HeaderLog(reader.read)
    log.answered({0: 6})

    log.catch_up(0, 4, learned.append)
    log.catch_up(0, 6, learned.append)

    assert (learned, reader.asked, log.learned) == ([], [], {0: 6})


def test_a_bad_request_is_passed_over_and_the_far_past_is_left() -> None:
    """Whoever answers it writes the dead letter; of a long absence the newest requests are read."""
    records = topic(3)
    records[1].value = b"rubbish"
    reader, learned = Reader(records), list[Header]()

    HeaderLog(reader.read).catch_up(0, 3, learned.append)
    HeaderLog(reader.read, {0: 10}).catch_up(0, REACH + 500, learned.append)

    assert [one.offset for one in learned] == [0, 2]
    assert reader.asked[-1] == (0, 500, REACH + 500)
