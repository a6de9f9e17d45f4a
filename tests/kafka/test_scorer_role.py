"""The scorer's process against a real broker: shared partitions, kills, swaps, bad requests."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.memory import MemoryConfig
from model.popularity import Popularity
from stream import clients
from stream.admin import begin_offsets, end_offsets, ensure_topics
from stream.events import Interaction, encode
from stream.learning import Learner
from stream.partition import partition_of
from stream.records import RecommendationList, decode_list, decode_request
from stream.scorer_checkpoint import FILE, kept_memory
from stream.topics import TopicNames
from tests.kafka.scorers import PARTITIONS, Scorers, Worker, wait_until


@pytest.fixture
def names(bootstrap: str, prefix: str) -> TopicNames:
    made = TopicNames(prefix)
    ensure_topics(bootstrap, made, PARTITIONS)
    return made


@pytest.fixture
def scorers(bootstrap: str, names: TopicNames, tmp_path: Path) -> Iterator[Scorers]:
    made = Scorers(bootstrap, names, tmp_path)
    yield made
    made.kill()
    for number in range(len(made.running)):
        sys.stdout.write(made.log(number))  # shown when the test fails


@pytest.fixture
def worker(bootstrap: str, names: TopicNames) -> Iterator[Worker]:
    made = Worker(bootstrap, names)
    yield made
    made.producer.close(timeout=1)


def read_lists(bootstrap: str, names: TopicNames) -> list[RecommendationList]:
    """Every list, per partition in the order of the topic."""
    return [decode_list(record.value) for record in clients.read_all(bootstrap, names.recommendations)]


def newest_offsets(made: list[RecommendationList]) -> dict[str, int]:
    return {one.user: one.state.offset for one in made}


def regressed(made: list[RecommendationList]) -> list[str]:
    """Users one of whose lists stands after a newer one."""
    best: dict[str, tuple[int, int, int]] = {}
    gone_back = []
    for one in made:
        if one.order() < best.get(one.user, (0, -1, -1)):
            gone_back.append(one.user)
        best[one.user] = max(best.get(one.user, (0, -1, -1)), one.order())
    return gone_back


def test_a_killed_scorer_leaves_no_user_behind(
    bootstrap: str, names: TopicNames, scorers: Scorers, worker: Worker
) -> None:
    """Two scorers share the load, one is killed: every newest list is complete, and none goes back."""
    scorers.serve("000001", 1)
    scorers.start()
    victim = scorers.start()
    for number in range(600):
        worker.click(f"u{number % 90}", f"i{number % 37}")
        if number == 300:
            worker.flush()
            victim.send_signal(signal.SIGKILL)
    worker.flush()
    wait_until(lambda: scorers.lag() == 0, "all requests committed")

    made = read_lists(bootstrap, names)

    assert newest_offsets(made) == worker.newest
    assert regressed(made) == []


def test_a_killed_scorer_remembers_what_an_undisturbed_one_does(
    bootstrap: str, names: TopicNames, scorers: Scorers, worker: Worker, tmp_path: Path
) -> None:
    """Killed with -9 in the middle of its work and started again, its memory ends bit for bit as that of one
    who reads all requests in their order."""
    scorers.serve("000001", 1)
    users = [user for user in (f"u{number}" for number in range(60)) if partition_of(user, PARTITIONS) == 0]
    victim = scorers.start()
    for number in range(400):
        worker.click(users[number * number % len(users)], f"i{number * 7 % 53}")
        if number == 200:
            worker.flush()
            wait_until(lambda: scorers.lag() < 150, "some requests committed")
            victim.send_signal(signal.SIGKILL)
            victim.wait()
    worker.flush()
    last = scorers.start()
    wait_until(lambda: scorers.lag() == 0, "all requests committed")
    last.send_signal(signal.SIGTERM)
    assert last.wait(timeout=30) == 0

    undisturbed = Learner(Popularity(), ())
    for record in clients.read_all(bootstrap, names.requests):
        undisturbed.learn(decode_request(record.value).header)
    [file] = tmp_path.rglob(FILE)
    kept = kept_memory(file.parent, MemoryConfig())

    assert kept is not None
    expected = undisturbed.memory.to_arrays()
    found = kept.to_arrays()
    assert undisturbed.num_learned == 400
    assert {name: array.tobytes() for name, array in found.items()} == {
        name: array.tobytes() for name, array in expected.items()
    }


def test_versions_swap_under_load(
    bootstrap: str, names: TopicNames, scorers: Scorers, worker: Worker
) -> None:
    """Lists go from popular to version 1 to version 2, a bad version never serves, and everybody's newest
    list is remade by the newest version."""
    scorers.start()
    users = [f"u{number}" for number in range(40)]
    for user in users:
        worker.click(user, "i1")
    worker.flush()
    wait_until(lambda: scorers.lag() == 0, "lists without a model")
    for version, epoch in [("000001", 1), ("bad", 2), ("000002", 3)]:
        scorers.serve(version, epoch)
        if version == "bad":
            wait_until(lambda: "version bad refused" in scorers.log(0), "the refusal")
            continue
        worker.click(users[0], f"i{epoch}")
        worker.flush()
        wait_until(
            lambda version=version: (
                {one.user: one.model for one in read_lists(bootstrap, names)} == dict.fromkeys(users, version)
            ),
            f"everybody served by {version}",
        )

    made = read_lists(bootstrap, names)

    assert {one.degraded for one in made if one.model is None} == {"no model yet"}
    assert {one.model for one in made} == {None, "000001", "000002"}
    assert newest_offsets(made) == worker.newest
    assert regressed(made) == []


def test_a_bad_request_stops_nobody(
    bootstrap: str, names: TopicNames, scorers: Scorers, worker: Worker
) -> None:
    """A malformed request among good ones becomes a dead letter with its reason; the others are answered."""
    scorers.serve("000001", 1)
    worker.click("ann", "i1")
    worker.send(b"no request", "ann", partition_of("ann", PARTITIONS))
    worker.click("ann", "i2")
    worker.flush()
    scorers.start()
    wait_until(lambda: scorers.lag() == 0, "all requests committed")

    [letter] = clients.read_all(bootstrap, names.dead_letters)
    headers = dict(letter.headers)

    assert letter.value == b"no request"
    assert headers["reason"] == b"bad_request"
    assert headers["topic"] == names.requests.encode()
    assert newest_offsets(read_lists(bootstrap, names)) == worker.newest


def test_a_scorer_stops_cleanly(scorers: Scorers, worker: Worker) -> None:
    """SIGTERM ends the process with 0 and what it answered is committed."""
    process = scorers.start()
    worker.click("ann", "i1")
    worker.flush()
    wait_until(lambda: scorers.lag() == 0, "the request committed")

    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=30) == 0


def test_a_paused_scorer_does_not_write(
    bootstrap: str, names: TopicNames, scorers: Scorers, worker: Worker
) -> None:
    """Stopped for longer than half its session, a scorer ends with 70 on waking instead of sending."""
    process = scorers.start()
    process.send_signal(signal.SIGSTOP)
    stopped_s = time.monotonic()
    worker.click("ann", "i1")
    worker.flush()
    wait_until(lambda: time.monotonic() - stopped_s > 3.5, "a pause of more than half of 6 s")
    process.send_signal(signal.SIGCONT)

    assert process.wait(timeout=30) == 70
    assert read_lists(bootstrap, names) == []


def test_requests_that_are_gone_are_asked_for_again(
    bootstrap: str, names: TopicNames, scorers: Scorers, worker: Worker
) -> None:
    """When the broker has deleted requests that were never read, their users' lists are asked for again."""
    from kafka import KafkaAdminClient, TopicPartition

    scorers.serve("000001", 1)
    first = scorers.start()
    worker.click("ann", "i1")
    worker.flush()
    wait_until(lambda: scorers.lag() == 0, "the first request committed")
    first.send_signal(signal.SIGTERM)
    first.wait(timeout=30)
    partition = partition_of("ann", PARTITIONS)
    event = encode(Interaction(ts=1, user="ann", item="i2", type="click"))
    worker.producer.send(names.events, key=b"ann", value=event, partition=partition)
    worker.click("ann", "i2")
    worker.flush()
    gone = end_offsets(bootstrap, names.requests)[partition]
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.delete_records({TopicPartition(names.requests, partition): gone})
    admin.close()
    worker.click("ann", "i3")
    worker.flush()

    scorers.start()
    wait_until(lambda: scorers.lag() == 0, "the last request committed")

    events = [record.value for record in clients.read_all(bootstrap, names.events)]
    assert begin_offsets(bootstrap, names.requests)[partition] == gone
    assert events == [event, b'{"event":"rescore","v":1,"user":"ann"}']
