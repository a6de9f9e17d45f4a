"""One real broker for all tests that need it, a topic prefix for each, and one demo for many looks.

Knows: how the broker is started. Does not know: what the tests do with it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.broker import Broker
from ops.errors import JarsMissing
from tests.kafka.exhibit import Exhibit, exhibit


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs the broker."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.kafka)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A running broker on a free port with a directory of its own."""
    made = Broker(tmp_path_factory.mktemp("broker") / "kafka")
    try:
        made.start()
    except JarsMissing as error:
        pytest.skip(str(error))
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def bootstrap(broker: Broker) -> str:
    """Address of the session's broker."""
    return broker.bootstrap


@pytest.fixture
def prefix() -> str:
    """A topic prefix no other test has."""
    return f"t{uuid.uuid4().hex[:8]}."


@pytest.fixture(scope="session")
def demo(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Exhibit:
    """A demo that ran to its end, and what was seen while it did; with a broker of its own."""
    return exhibit(tmp_path_factory.mktemp("demo"))
