"""Which requests are answered, and in which batches."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from stream.batcher import Limits, answered, batches, due


@dataclass(frozen=True)
class Asking:
    """A request as the rule sees it."""

    user: str
    sampled: bool = False


#: Sampling is a property of the user: users a-c belong to the sample, d-f do not.
asking = st.sampled_from("abcdef").map(lambda user: Asking(user, user in "abc"))


def test_only_the_newest_request_of_a_user_is_answered() -> None:
    """Outside the evaluation sample older requests of one turn are left out."""
    waiting = [Asking("ann"), Asking("bob"), Asking("ann")]

    assert answered(waiting) == [1, 2]


def test_every_request_of_a_sampled_user_is_answered_in_order() -> None:
    """Each state of a sampled user gets its own list; a burst of clicks shares a batch."""
    waiting = [Asking("ann", True), Asking("bob"), Asking("ann", True), Asking("ann", True)]

    assert batches(waiting, max_batch=8) == [[0, 1, 2, 3]]


def test_a_large_turn_is_cut_into_full_batches() -> None:
    """No batch is larger than the limit."""
    waiting = [Asking(str(number)) for number in range(7)]

    assert batches(waiting, max_batch=3) == [[0, 1, 2], [3, 4, 5], [6]]


@given(waiting=st.lists(asking, max_size=40), max_batch=st.integers(1, 7))
def test_batches_hold_what_is_answered_once(waiting: list[Asking], max_batch: int) -> None:
    """Every answered position is in exactly one batch, and no batch is too large."""
    made = batches(waiting, max_batch)

    assert sorted(position for batch in made for position in batch) == answered(waiting)
    assert all(0 < len(batch) <= max_batch for batch in made)


@given(waiting=st.lists(asking, max_size=40), max_batch=st.integers(1, 7))
def test_a_user_is_answered_in_order(waiting: list[Asking], max_batch: int) -> None:
    """Across batches a user's requests keep their order, and the newest one is always among them."""
    order = [position for batch in batches(waiting, max_batch) for position in batch]

    for user in {request.user for request in waiting}:
        mine = [position for position in order if waiting[position].user == user]
        assert mine == sorted(mine)
        assert mine[-1] == max(at for at, request in enumerate(waiting) if request.user == user)


def test_due_when_full_or_waited() -> None:
    """A batch is due once it is full, or once its oldest request has waited long enough; never when empty."""
    limits = Limits(max_batch=4, max_wait_ms=5)

    assert not due(0, 0, 1000, limits)
    assert not due(3, 100, 104, limits)
    assert due(3, 100, 105, limits)
    assert due(4, 100, 100, limits)
