"""How far each user's lists have come when partitions change hands: none goes back behind one that was sent.

Knows: the order of one user's lists. Does not know: where the newest ones were read, Kafka.
"""

from __future__ import annotations

from stream.records import Header

#: A list's place in the order of one user's lists: (topic id, offset, epoch).
Floor = tuple[str, int, int]


def goes_on(floors: dict[str, Floor], header: Header, epoch: int) -> bool:
    """Whether a list for this state does not go back behind one that another scorer has sent; a user whose
    lists go on is taken out of ``floors``."""
    floor = floors.get(header.user)
    if floor is None:
        return True
    if floor[0] == header.topic_id and (header.offset, epoch) < floor[1:]:
        return False
    del floors[header.user]
    return True
