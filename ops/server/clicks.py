"""When clicks were produced: the events topic from now on, read for its times alone.

Knows: kafka-python, the header that marks loaded histories, that not every event is a click.
Does not know: what is in a click, who asks.
"""

from __future__ import annotations

import logging
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable

import msgspec
from kafka import TopicPartition
from kafka.errors import KafkaError

from stream.agents import BACKFILL
from stream.clients import consumer
from stream.errors import StreamError

log = logging.getLogger("hopstream.server")

POLL_MS = 200
#: Clicks gather so long before they are read: a read costs the same for one as for hundreds.
GATHER_S = 0.25
MAX_RECORDS = 500
RETRY_S = 1.0

#: (partition, offset, Unix ms of production) of each click.
Clicks = list[tuple[int, int, float]]


class _Kind(msgspec.Struct):
    """What an event is; the rest is not looked at."""

    event: str = ""


_kinds = msgspec.json.Decoder(_Kind)


def is_click(value: bytes | None) -> bool:
    """Whether this event asks for a list as a user's click does: not an erasure, not a request to rescore."""
    try:
        return value is not None and _kinds.decode(value).event == "interaction"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


class ClickTimes:
    """A thread that hands the times of new clicks to the event loop."""

    def __init__(self, bootstrap: str, topic: str, take: Callable[[Clicks], None]) -> None:
        """``take`` is called on the loop's thread."""
        self._bootstrap = bootstrap
        self._topic = topic
        self._take = take
        self._stopping = threading.Event()

    def start(self, loop: AbstractEventLoop) -> None:
        """Begin; the broker need not be there."""
        threading.Thread(target=self._run, args=(loop,), name="server_clicks", daemon=True).start()

    def stop(self) -> None:
        """Ask the thread to end; it does within a poll."""
        self._stopping.set()

    def _run(self, loop: AbstractEventLoop) -> None:
        while not self._stopping.is_set():
            try:
                self._follow(loop)
            except (StreamError, KafkaError, OSError) as error:
                log.debug("clicks cannot be timed now: %s", error)
            except RuntimeError:  # the loop is closed
                return
            self._stopping.wait(RETRY_S)

    def _follow(self, loop: AbstractEventLoop) -> None:
        reader = consumer(self._bootstrap, max_poll_records=MAX_RECORDS, fetch_max_wait_ms=POLL_MS)
        try:
            numbers = reader.partitions_for_topic(self._topic)
            if not numbers:  # nobody has made it yet
                return
            places = [TopicPartition(self._topic, number) for number in sorted(numbers)]
            reader.assign(places)
            reader.seek_to_end(*places)
            while not self._stopping.is_set():
                found = [one for records in reader.poll(timeout_ms=POLL_MS).values() for one in records]
                clicks: Clicks = [
                    (record.partition, record.offset, record.timestamp)
                    for record in found
                    if not any(name == BACKFILL for name, _ in record.headers or ())
                    and is_click(record.value)
                ]
                if clicks:
                    loop.call_soon_threadsafe(self._take, clicks)
                if len(found) < MAX_RECORDS:
                    self._stopping.wait(GATHER_S)
        finally:
            reader.close()
