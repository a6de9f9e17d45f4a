"""What the join of events and lists lets go of, and what is said of it."""

from __future__ import annotations

import msgspec

from stream.judging import Judge
from tests.stream.test_judging import click, judgement, listening


def test_a_judgement_that_comes_after_an_erasure_is_not_kept() -> None:
    """Its list names what the user had; the next state's is."""
    judge, heard = listening()
    click(judge, "ann", 1, "a")
    judge.forgot("ann", "t", 2)
    judge.judgement(judgement("ann", 1, ["secret"]), 0)
    judge.judgement(judgement("ann", 2, ["nothing"]), 0)
    assert b"secret" not in msgspec.msgpack.encode(judge.state())

    click(judge, "ann", 3, "b")
    judge.judgement(judgement("ann", 3, ["c"]), 0)
    click(judge, "ann", 4, "c", written_ms=1)
    judge.finish()
    assert heard.ranks() == [1.0]


def test_users_are_bounded() -> None:
    """Past the bound the longest silent user is let go, and what waited has no list."""
    judge, heard = listening(max_users=2)
    for offset, user in enumerate(["ann", "ann", "bob", "cat"]):
        click(judge, user, offset, "a")

    assert heard.without_list == 1


def test_an_event_of_a_user_who_was_let_go_has_no_list_and_is_counted() -> None:
    """More users than are kept: whoever had a state before is judged or counted, never passed over."""
    judge, heard = listening(max_users=2)
    for offset in range(15):
        click(judge, f"u{offset % 3}", offset, "a")
    stored = msgspec.msgpack.decode(msgspec.msgpack.encode(judge.state()))
    judge = Judge(heard.append, max_users=2)
    judge.restore(stored)
    click(judge, "u0", 15, "a")
    judge.forgot("u1", "t", 15)
    click(judge, "u1", 16, "a")
    judge.finish()

    assert heard.without_list == 12 + 1


def test_waiting_judgements_are_bounded() -> None:
    """Past the bound the longest silent user's judgements go, and later events of theirs have no list."""
    judge, heard = listening(max_states=2)
    click(judge, "ann", 0, "a")
    judge.judgement(judgement("ann", 0, ["b"]), 0)
    for offset in range(1, 4):
        judge.judgement(judgement("bob", offset, ["b"]), 0)
    click(judge, "ann", 9, "b", written_ms=1)
    judge.finish()

    assert heard.judged == 0
