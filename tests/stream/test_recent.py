"""The latest requests of recently active users."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream.recent import Kept, Recent


def kept(user: str, partition: int = 0, num_bytes: int = 10) -> Kept:
    return Kept(user, partition, 0, b"x" * num_bytes)


def users(found: list[Kept]) -> list[str]:
    return [one.user for one in found]


def test_a_new_version_answers_the_latest_active_first() -> None:
    """Everybody kept is asked again once, most recently active first."""
    recent = Recent(10)
    for user in ("ann", "bob", "cat", "ann"):
        recent.remember(kept(user))
    recent.ask_again()

    assert users(recent.take(2)) == ["ann", "cat"]
    assert users(recent.take(2)) == ["bob"]
    assert recent.waiting == 0


def test_a_fresh_answer_ends_the_wait() -> None:
    """A user who asked again meanwhile has a list of the new version already."""
    recent = Recent(10)
    recent.remember(kept("ann"))
    recent.remember(kept("bob"))
    recent.ask_again()
    recent.remember(kept("ann"))

    assert users(recent.take(10)) == ["bob"]


def test_users_of_lost_partitions_are_forgotten() -> None:
    """A partition that went to another scorer takes its users with it."""
    recent = Recent(10)
    recent.remember(kept("ann", partition=0))
    recent.remember(kept("bob", partition=1))
    recent.ask_again()
    recent.lose({0})

    assert users(recent.take(10)) == ["bob"]
    assert len(recent) == 1


@given(
    asked=st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 30)), max_size=40),
    max_users=st.integers(0, 4),
    max_bytes=st.integers(0, 60),
)
def test_recent_is_bounded(asked: list[tuple[str, int]], max_users: int, max_bytes: int) -> None:
    """Neither bound is ever passed, and the count of bytes is exact."""
    recent = Recent(max_users, max_bytes)
    for user, num_bytes in asked:
        recent.remember(kept(user, num_bytes=num_bytes))
        assert len(recent) <= max_users
        assert recent.num_bytes <= max_bytes
    recent.ask_again()

    assert recent.num_bytes == sum(len(one.raw) for one in recent.take(100))
