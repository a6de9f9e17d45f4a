"""Topics and clients against a real broker."""

from __future__ import annotations

import pytest
from kafka import KafkaAdminClient, TopicPartition

from stream import admin, clients
from stream.errors import TopicMismatch
from stream.partition import partition_of
from stream.topics import TOPICS, TopicNames


@pytest.fixture
def names(prefix: str, bootstrap: str) -> TopicNames:
    """All topics, with three partitions, under a fresh prefix."""
    made = TopicNames(prefix)
    admin.ensure_topics(bootstrap, made, 3)
    return made


def send(bootstrap: str, topic: str, keys: list[str]) -> None:
    """One record per key, all of them acknowledged."""
    sender = clients.producer(bootstrap)
    futures = [sender.send(topic, key=key.encode(), value=b"x" + key.encode()) for key in keys]
    sender.flush()
    assert all(future.succeeded() for future in futures)
    sender.close()


def test_topics_are_made_once(bootstrap: str, prefix: str) -> None:
    """The first call makes every topic of the table and the changelog, the second nothing."""
    names = TopicNames(prefix)

    made = admin.ensure_topics(bootstrap, names, 3)

    assert len(made) == len(TOPICS) + 1
    assert admin.ensure_topics(bootstrap, names, 3) == []
    assert admin.existing(bootstrap, [names.events, names.models, "absent"]) == {
        names.events: 3,
        names.models: 1,
    }


def test_another_partition_count_is_refused(bootstrap: str, names: TopicNames) -> None:
    """The error names both numbers, and nothing is changed."""
    with pytest.raises(TopicMismatch, match="has 3 partitions, configured are 5"):
        admin.ensure_topics(bootstrap, names, 5)

    assert admin.existing(bootstrap, [names.events]) == {names.events: 3}


def test_a_topic_made_again_has_another_id(bootstrap: str, names: TopicNames) -> None:
    """The id tells a recreated topic from its predecessor of the same name; absent topics have none."""
    before = admin.topic_ids(bootstrap, [names.quality, "absent"])
    deleter = KafkaAdminClient(bootstrap_servers=bootstrap)
    deleter.delete_topics([names.quality])
    deleter.close()

    admin.ensure_topics(bootstrap, names, 3)
    after = admin.topic_ids(bootstrap, [names.quality])

    assert set(before) == set(after) == {names.quality}
    assert before != after


def test_records_land_where_we_say(bootstrap: str, names: TopicNames) -> None:
    """The broker's copy of each user's record lies on the partition that `partition_of` computes."""
    users = [f"user {number} й" for number in range(60)]
    send(bootstrap, names.events, users)

    records = list(clients.read_all(bootstrap, names.events))

    assert sorted(record.key.decode() for record in records) == sorted(users)
    assert all(record.partition == partition_of(record.key, 3) for record in records)


def test_offsets_count_records(bootstrap: str, names: TopicNames) -> None:
    """Begins are zero, ends sum up to what was sent, an absent topic has neither."""
    send(bootstrap, names.events, ["ann", "bob", "cleo", "dan"])

    assert admin.begin_offsets(bootstrap, names.events) == {0: 0, 1: 0, 2: 0}
    assert sum(admin.end_offsets(bootstrap, names.events).values()) == 4
    assert admin.end_offsets(bootstrap, "absent") == {}


def test_reading_all_ends_at_the_end_seen_first(bootstrap: str, names: TopicNames) -> None:
    """Records that come while we read are left for the next reader; order within a partition is kept."""
    send(bootstrap, names.events, ["ann"] * 5)
    reading = clients.read_all(bootstrap, names.events)
    first = next(reading)
    send(bootstrap, names.events, ["ann"] * 3)

    assert [record.offset for record in (first, *reading)] == [0, 1, 2, 3, 4]


def test_reading_one_partition_leaves_out_the_others(bootstrap: str, names: TopicNames) -> None:
    """Only the asked partitions come; an empty or absent topic yields nothing and does not wait."""
    send(bootstrap, names.events, ["ann", "bob", "cleo", "dan", "eve"])
    wanted = partition_of("ann", 3)

    assert {record.partition for record in clients.read_all(bootstrap, names.events, [wanted])} == {wanted}
    assert list(clients.read_all(bootstrap, names.items)) == []
    assert list(clients.read_all(bootstrap, "absent")) == []


def test_only_what_is_committed_counts_as_read(bootstrap: str, names: TopicNames) -> None:
    """A consumer of ours commits when told and not before."""
    send(bootstrap, names.events, ["ann"] * 4)
    group, number = names.scorer_group, partition_of("ann", 3)
    reader = clients.consumer(bootstrap, group=group)
    reader.assign([TopicPartition(names.events, number)])
    assert sum(len(records) for records in reader.poll(timeout_ms=10_000).values()) == 4
    assert admin.committed(bootstrap, group, names.events) == {}

    reader.commit()
    reader.close(autocommit=False)

    assert admin.committed(bootstrap, group, names.events) == {number: 4}
    assert admin.committed(bootstrap, group, names.requests) == {}


def test_a_cluster_has_a_name(bootstrap: str, broker) -> None:
    """The id that the broker answers with is the one its directory was laid out with."""
    assert admin.cluster_id(bootstrap) == (broker.data_dir / "cluster-id").read_text().strip()
