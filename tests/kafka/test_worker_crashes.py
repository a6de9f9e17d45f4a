"""Whatever happens to workers and broker, the state ends as if nothing had, and every event is asked for.

Real worker processes on the real broker. The state is read from the changelog and held to a fold of the
events topic by one process; requests are read from their topic.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.broker import Broker
from ops.demo.ledger import balance, stored_values
from stream.clients import producer, read_all
from stream.digest import state_digest
from stream.events import REASONS, Interaction, encode
from stream.partition import partition_of
from tests.kafka.town import PARTITIONS, Town

EVENTS = 3000

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def town(broker: Broker, prefix: str, tmp_path: Path) -> Iterator[Town]:
    made = Town(broker, prefix, tmp_path)
    yield made
    made.stop()


def clicks(num: int = EVENTS, seed: int = 1) -> list[Interaction]:
    """Forty users, some silent for hours between two clicks."""
    rng = random.Random(seed)
    now, events = 1_500_000_000_000, []
    for _ in range(num):
        now += rng.choice([0, 100, 5_000, 60_000])
        events.append(
            Interaction(ts=now, user=f"u{rng.randrange(40)}", item=f"i{rng.randrange(500)}", type="click")
        )
    return events


def test_a_killed_worker_loses_and_doubles_nothing(town: Town) -> None:
    """kill -9 in the middle, three times; the restarted worker goes on from its directory."""
    town.produce(clicks())
    for share in (0.1, 0.3, 0.5):
        town.launch("one")
        town.wait_until(lambda share=share: town.num_requests() > share * EVENTS, "some requests")
        town.kill()
    town.start()

    town.check_complete()


def test_the_same_events_again_and_shuffled_across_users_change_nothing(town: Town) -> None:
    """Sent twice, the second time with users interleaved otherwise: the digest of once."""
    once = clicks(1500)
    town.start()
    town.produce(once)
    town.check_complete()
    before = state_digest(stored_values(town.broker.bootstrap, town.names))
    rng = random.Random(9)
    order = list(once)
    rng.shuffle(order)
    queues = {event.user: [] for event in once}  # type: dict[str, list[Interaction]]
    for event in once:
        queues[event.user].append(event)
    town.produce([queues[event.user].pop(0) for event in order])
    town.check_complete()

    assert state_digest(stored_values(town.broker.bootstrap, town.names)) == before


def test_a_paused_broker_and_a_worker_killed_meanwhile(town: Town) -> None:
    """Records that the broker never acknowledged are made again after the restart."""
    town.produce(clicks())
    town.launch("one")
    town.wait_until(lambda: town.num_requests() > 200, "some requests")
    os.kill(town.broker.pid, signal.SIGSTOP)
    try:
        time.sleep(1.0)  # the worker goes on for a while without acknowledgements
        town.kill()
    finally:
        os.kill(town.broker.pid, signal.SIGCONT)
    town.start()

    town.check_complete()


def test_a_worker_that_slept_past_its_session_writes_nothing_on_waking(town: Town) -> None:
    """It ends itself with status 70; the next one finishes the work."""
    town.start()
    town.produce(clicks(800))
    town.wait_until(lambda: town.num_requests() > 100, "some requests")
    town.send_signal(signal.SIGSTOP)
    time.sleep(6.0)  # past the session timeout of 4 s
    town.send_signal(signal.SIGCONT)
    assert town.workers["one"].wait(30) == 70
    town.start()

    town.check_complete()


def test_two_workers_share_and_take_over(town: Town) -> None:
    """Partitions move when one is killed and when it returns, with its old directory or an empty one."""
    events = clicks(4000)
    town.start("one")
    town.start("two")
    town.produce(events[:1500])
    town.wait_until(lambda: town.num_requests() > 500, "some requests")
    town.kill("one")
    town.produce(events[1500:2500])
    town.start("one")  # its directory knows writes that the changelog may not
    town.kill("one")  # and it loses the partitions again at once
    town.wait_until(lambda: town.num_requests() > 2000, "the other one takes over")
    shutil.rmtree(town.directory("one"))
    town.start("one")  # state from the changelog alone
    town.kill("two")
    town.produce(events[2500:])

    town.check_complete()


def test_a_restarted_broker_is_survived(tmp_path: Path, prefix: str) -> None:
    """The broker goes down and comes back on its directory; workers go on or are started again."""
    broker = Broker(tmp_path / "kafka")
    broker.start()
    port = int(broker.bootstrap.rpartition(":")[2])
    town = Town(broker, prefix, tmp_path)
    try:
        town.start()
        town.produce(clicks(1500))
        town.wait_until(lambda: town.num_requests() > 100, "some requests")
        broker.stop()
        broker = town.broker = Broker(tmp_path / "kafka", port=port)
        broker.start()
        if town.workers["one"].poll() is not None:
            town.start()
        town.produce(clicks(1500, seed=2))

        town.check_complete()
    finally:
        town.stop()
        broker.stop()


def test_a_worker_without_its_broker_stops_when_told(tmp_path: Path, prefix: str) -> None:
    """A clean stop needs the broker; when it is gone the worker still ends, soon, and says why."""
    broker = Broker(tmp_path / "kafka")
    broker.start()
    town = Town(broker, prefix, tmp_path)
    try:
        town.start()
        town.produce(clicks(200))
        town.wait_until(lambda: town.num_requests() > 50, "some requests")
        broker.stop()
        town.send_signal(signal.SIGTERM)

        assert town.workers["one"].wait(30) in (0, 70)
    finally:
        town.stop()
        broker.stop()


def test_rubbish_among_good_events_stops_nobody(town: Town) -> None:
    """A thousand malformed records: each in dead-letters once, with its reason; all good ones applied.

    One more is as large as a client may write, which with a reason would be too large to be written again.
    """
    rng = random.Random(5)
    good = clicks(1000)
    raw = encode(good[0])
    far = int(time.time() * 1000) + 10 * 86_400_000
    bad = [
        lambda: raw[: rng.randrange(1, len(raw) - 1)],
        lambda: raw.replace(b'"ts":', b'"ts":"x"+'),
        lambda: raw.replace(b'"ts":1', b'"ts":true,"x":1'),
        lambda: raw.replace(b'"item":"', b'"item":"' + b"x" * 300),
        lambda: encode(Interaction(ts=far, user="u1", item="a", type="click")),
        lambda: b"\xff\xfe" + raw,
        lambda: raw[:-1] + b',"x":' + b"[" * 5000 + b"]" * 5000 + b"}",
        lambda: bytes(rng.randrange(256) for _ in range(60)),
        lambda: b"",
        lambda: b"null",
    ]
    town.start()
    sender = producer(town.broker.bootstrap)
    for number, event in enumerate(good):
        sender.send(town.names.events, bad[number % len(bad)](), b"u1", partition=number % PARTITIONS)
        key = event.user.encode()
        sender.send(town.names.events, encode(event), key, partition=partition_of(event.user, PARTITIONS))
    sender.send(town.names.events, b"x" * 1_010_000, b"u1", partition=0)
    sender.flush()
    sender.close()

    def letters() -> list[tuple[str, str, str]]:
        found = []
        for record in read_all(town.broker.bootstrap, town.names.dead_letters):
            headers = {name: value.decode() for name, value in record.headers}
            found.append((headers["partition"], headers["offset"], headers["reason"]))
        return found

    town.wait_until(lambda: len(letters()) >= 1001, "a thousand dead letters and one")
    ledger = balance(town.broker.bootstrap, town.settings)

    assert len(letters()) == len({place[:2] for place in letters()}) == 1001
    assert {reason for _, _, reason in letters()} <= set(REASONS)
    assert len({reason for _, _, reason in letters()}) >= 6
    town.wait_until(lambda: balance(town.broker.bootstrap, town.settings).balanced, "all good ones applied")
    assert ledger.users <= 40
