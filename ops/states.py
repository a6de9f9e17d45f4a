"""One user's state, as the worker stored it last.

Knows: the worker's changelog. Does not know: what is told of a state, sequences, versions.
"""

from __future__ import annotations

from ops import exit_codes
from ops.errors import OpsError
from stream.admin import existing
from stream.clients import read_all
from stream.history import User
from stream.partition import partition_of
from stream.topics import TopicNames


class NoSuchUser(OpsError):
    """The worker holds no state of this user; it appears with the user's first event."""

    exit_code = exit_codes.NOT_FOUND


def stored_user(bootstrap: str, names: TopicNames, name: str) -> User:
    """The newest state of one user. Raises NoSuchUser, BrokerUnreachable."""
    num_partitions = existing(bootstrap, [names.changelog]).get(names.changelog)
    value = None
    if num_partitions is not None:
        key = name.encode()
        for record in read_all(bootstrap, names.changelog, [partition_of(name, num_partitions)]):
            value = record.value if record.key == key else value
    if value is None:
        raise NoSuchUser(f"(user {name!r}, topic {names.changelog})")
    return User.from_bytes(value)
