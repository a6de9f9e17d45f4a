"""What the topics table asks of a broker, without one."""

from __future__ import annotations

import socket

import pytest

from ops import ports
from stream import admin, clients
from stream.errors import BrokerUnreachable
from stream.topics import TopicNames

NAMES = TopicNames("shop.")


def test_topics_of_users_share_their_partitions() -> None:
    """What is keyed by user has the configured partitions, the worker's changelog too; the rest has one."""
    shapes = admin.wanted(NAMES, 6)

    by_user = {NAMES.events, NAMES.requests, NAMES.recommendations, NAMES.judgements, NAMES.changelog}
    assert {name for name, shape in shapes.items() if shape.partitions == 6} == by_user
    assert {shape.partitions for name, shape in shapes.items() if name not in by_user} == {1}


def test_state_is_compacted_and_events_are_kept() -> None:
    """The changelog keeps each user's newest value; events never end: all else is rebuilt from them."""
    shapes = admin.wanted(NAMES, 4)

    assert shapes[NAMES.changelog].config == {"cleanup.policy": "compact"}
    assert shapes[NAMES.events].config["retention.ms"] == "-1"


def test_no_broker_is_an_error_that_names_it() -> None:
    """A port that nobody listens on ends in BrokerUnreachable with the address in it."""
    nowhere = f"127.0.0.1:{ports.free_port('127.0.0.1')}"

    with pytest.raises(BrokerUnreachable, match=nowhere):
        admin.wait_for_broker(nowhere, timeout_s=0.3)


@pytest.mark.parametrize("address", ["localhost", "localhost:kafka", ""])
def test_an_address_without_a_port_is_an_error(address: str) -> None:
    """What is no host:port is said at once, by every client."""
    with pytest.raises(BrokerUnreachable, match="is not host:port"):
        clients.producer(address)
    with pytest.raises(BrokerUnreachable, match="is not host:port"):
        clients.consumer(address)


def test_the_second_address_will_do() -> None:
    """One of several brokers that listens is enough."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        nowhere, somewhere = ports.free_port("127.0.0.1"), listening.getsockname()[1]

        clients.wait_for_port(f"127.0.0.1:{nowhere}, 127.0.0.1:{somewhere}", timeout_s=5)

        caller, _ = listening.accept()
        with caller:
            assert caller.getsockname()[1] == somewhere
