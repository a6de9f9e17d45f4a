"""Leave-one-out on a log small enough to write the answers down."""

import pytest

from model.errors import NotEnoughData
from model.leave_one_out import leave_one_out
from model.sequences import Histories
from model.stages import Stage
from tests.model.small_log import LOG, columns


def told(stage: Stage, events: Histories) -> list[str]:
    """Users and their items, as `u a c`."""
    names = [stage.catalogue.item(row) for row in events.rows.tolist()]
    ends = zip(events.users.tolist(), events.starts[:-1], events.starts[1:], strict=True)
    return [" ".join(["uvw"[user], *names[start:stop]]) for user, start, stop in ends]


def test_variants_train_without_the_last_two_and_without_the_last() -> None:
    """w is too short to be asked about and is trained on whole; u's tie keeps the order of the file."""
    a, b = leave_one_out(columns(LOG), 10)

    assert (a.variant, told(a, a.training)) == ("A", ["u a c", "v b", "w a b"])
    assert (b.variant, told(b, b.training)) == ("B", ["u a c d", "v b a", "w a b"])


def test_the_last_event_is_asked_and_the_one_before_validates() -> None:
    """Both variants ask for v's e and u's a, in the order of the log; only A validates, on d and a."""
    a, b = leave_one_out(columns(LOG), 10)
    asked = [a.catalogue.item(row) for row in a.events.rows[a.places()].tolist()]
    inputs = [[a.catalogue.item(row) for row in rows.tolist()] for rows, _ in a.validation.sequences]

    assert asked == ["e", "a"]
    assert a.places().tolist() == b.places().tolist()
    assert a.users().tolist() == [1, 0]
    assert [a.catalogue.item(row) for row in a.validation.targets.tolist()] == ["d", "a"]
    assert inputs == [["a", "c"], ["b"]]
    assert a.validation.asked_ms.tolist() == [2000, 3000]
    assert len(b.validation.targets) == 0


def test_the_whole_catalogue_is_ranked_and_groups_say_what_is_special() -> None:
    """e occurs as a test target alone and is a candidate all the same; u's second a is a repeat."""
    a, _ = leave_one_out(columns(LOG), 10)
    kept, _ = leave_one_out(columns(LOG), 10, filter_seen=False)

    assert sorted(a.catalogue.items) == ["a", "b", "c", "d", "e"]
    assert {name: mask.tolist() for name, mask in a.groups.items()} == {
        "all": [True, True],
        "warm": [True, True],
        "cold": [False, False],
        "new_item": [True, False],
        "repeat": [False, True],
        "hittable": [True, False],
    }
    assert kept.groups["hittable"].tolist() == [True, True]
    assert [rows.tolist() for rows in kept.validation.seen] == [[], []]


def test_validation_asks_no_more_users_than_it_may() -> None:
    """One question of two, the same one each time; the test asks all."""
    first, again = (leave_one_out(columns(LOG), 1)[0] for _ in range(2))

    assert len(first.validation.targets) == 1
    assert first.validation.targets.tolist() == again.validation.targets.tolist()
    assert len(first.places()) == 2


def test_short_histories_alone_are_refused() -> None:
    """Without a user of three events there is nobody to ask."""
    with pytest.raises(NotEnoughData, match="three events"):
        leave_one_out(columns(LOG[:3]), 10)
