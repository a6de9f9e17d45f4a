"""One user, one partition, whichever client sends."""

from __future__ import annotations

import random

import aiokafka.partitioner
import kafka.partitioner
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.partition import murmur2, partition_of

#: Signed results of Kafka's own unit test (UtilsTest.testMurmur2, Apache Kafka 4.1).
PUBLISHED = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


class FourPartitions:
    """As much of a cluster's metadata as a partitioner asks for."""

    def topics(self) -> set[str]:
        return {"events"}

    def partitions_for_topic(self, topic: str) -> set[int]:
        return {0, 1, 2, 3}

    available_partitions_for_topic = partitions_for_topic


def odd_ids(count: int) -> list[str]:
    """Ids of every length up to 40 characters, from ASCII, Cyrillic, Han and emoji, the same at every run."""
    source = random.Random(7)
    letters = "az09 -_:/\"'\n\t" + "дяйё" + "日本語" + "😀🎬"
    return ["".join(source.choices(letters, k=1 + number % 40)) for number in range(count)]


@pytest.mark.parametrize(("key", "expected"), PUBLISHED.items())
def test_hashes_as_kafka_publishes(key: bytes, expected: int) -> None:
    """The vectors of the Java client's own test come out."""
    assert murmur2(key) == expected % 2**32


def test_agrees_with_both_clients() -> None:
    """kafka-python and aiokafka, which Faust sends through, send 1,000 odd ids where we expect them."""
    theirs, fausts = kafka.partitioner.DefaultPartitioner(), aiokafka.partitioner.DefaultPartitioner()
    cluster, four = FourPartitions(), [0, 1, 2, 3]

    for user in odd_ids(1000):
        key = user.encode()
        expected = partition_of(user, 4)
        assert theirs.partition("events", user, key, None, None, cluster) == expected
        assert fausts(key, four, four) == expected


@given(st.binary(max_size=300))
def test_agrees_on_any_bytes(key: bytes) -> None:
    """Every key, whatever its bytes, hashes as kafka-python hashes it."""
    assert murmur2(key) == kafka.partitioner.murmur2(key) % 2**32


@given(st.text(max_size=60), st.integers(1, 1024))
def test_text_and_bytes_are_one_user(user: str, partitions: int) -> None:
    """A user's partition is that of the raw UTF-8 bytes, and exists."""
    found = partition_of(user, partitions)

    assert found == partition_of(user.encode(), partitions)
    assert 0 <= found < partitions
