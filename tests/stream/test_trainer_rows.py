"""Rows of a slice's new items, as the trainer makes them between versions."""

from __future__ import annotations

import numpy as np
import pytest

from model.catalogue import Catalogue
from model.config import ModelConfig
from model.version import Version
from stream.lessons import Click, Slice, arrays_of, told_arrays
from stream.trainer_rows import TrainerRows
from tests.model.untrained_version import untrained

ITEMS = [f"item-{number}" for number in range(300)]
USERS = [f"user-{number}" for number in range(40)]


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    config = ModelConfig(dim=16, streams=2, heads=2, blocks=1, experts=1)
    return untrained(tmp_path_factory.mktemp("models"), config, ITEMS)


def a_slice(item: str, past: list[str] | None = None) -> Slice:
    """Everybody, of the same two items, clicks this one."""
    history = ITEMS[:2] if past is None else past
    clicks = [Click(0, place, user, item, 1_000_000 + place, 0) for place, user in enumerate(USERS)]
    return Slice(clicks=clicks, past={user: (history, list(range(len(history)))) for user in USERS})


def made(version: Version, *slices: Slice, filter_seen: bool = True) -> TrainerRows:
    rows = TrainerRows(version)
    for taken in slices:
        rows.take(taken, version, filter_seen=filter_seen)
    return rows


@pytest.mark.parametrize("filter_seen", [True, False])
def test_a_row_competes_with_the_whole_catalogue_however_few_items_the_slice_names(
    version: Version, filter_seen: bool
) -> None:
    """The tenth place of a list is the tenth of 300 items, of which the slice names two."""
    told = made(version, a_slice("new"), filter_seen=filter_seen).exposure.to_arrays()

    index = version.index[2 if filter_seen else 0 :]
    tenth = np.sort(told["vectors"] @ index.T, axis=1)[:, -10]
    assert len(tenth) == len(USERS)
    assert told["tenth"] == pytest.approx(tenth, abs=1e-5)


def test_lists_and_clicks_of_one_slice_go_on_in_the_next(version: Version) -> None:
    """Also through a slice in which everything is known, which has clicks and asks for no lists."""
    rows = made(version, a_slice("new"), a_slice("item-9"), a_slice("newer"))

    told = rows.exposure.to_arrays()
    assert list(rows.lines) == ["new", "newer"]
    assert len(told["tenth"]) == 2 * len(USERS)
    assert told["counts"].tolist() == [2 * len(USERS), 3 * len(USERS)]
    assert told["as_of"].tolist() == [len(USERS), 3 * len(USERS)]  # of "new" and of "newer"


def test_an_item_that_was_published_has_no_line_and_no_clicks(version: Version) -> None:
    """The others', and all lists, go on."""
    rows = made(version, a_slice("new"), a_slice("newer"))
    rows.published(Catalogue([*ITEMS, "new"]))

    assert list(rows.lines) == ["newer"]
    assert len(rows.exposure.to_arrays()["clicks"]) == 1
    assert len(rows.exposure.to_arrays()["tenth"]) == 2 * len(USERS)


def test_users_of_whom_nothing_is_known_make_no_row_and_no_list(version: Version) -> None:
    """Their clicks count among all."""
    rows = made(version, a_slice("new", past=[]))

    told = rows.exposure.to_arrays()
    assert rows.lines == {}
    assert len(told["tenth"]) == 0
    assert told["counts"].tolist() == [0, len(USERS)]


def test_they_count_for_a_row_of_an_earlier_slice(version: Version) -> None:
    """Which stays as it was, but may stand as high as all its clicks place it."""
    rows = made(version, a_slice("new"))
    line = rows.lines["new"].copy()
    rows.take(a_slice("new", past=[]), version, filter_seen=True)

    told = rows.exposure.to_arrays()
    assert np.array_equal(rows.lines["new"], line)
    assert told["as_of"].tolist() == [2 * len(USERS)]
    assert told["clicks"][0] > 1.9 * len(USERS)  # all, decayed a little


def test_a_snapshot_between_two_slices_changes_nothing(version: Version) -> None:
    """Lines, their order and how high they stand go on to the last bit, as a killed trainer's must."""
    undisturbed, killed = made(version, a_slice("new")), TrainerRows(version)
    killed.restore(
        arrays_of(told_arrays(undisturbed.lines)), arrays_of(told_arrays(undisturbed.exposure.to_arrays()))
    )
    for rows in (undisturbed, killed):
        for item in ("newer", "item-9", "new"):
            rows.take(a_slice(item), version, filter_seen=True)

    assert list(killed.lines) == list(undisturbed.lines) == ["newer", "new"]  # the newest made last
    assert all(np.array_equal(killed.lines[item], undisturbed.lines[item]) for item in killed.lines)
    theirs, ours = undisturbed.exposure.to_arrays(), killed.exposure.to_arrays()
    assert all(np.array_equal(theirs[name], ours[name]) for name in theirs)
    assert len(ours["tenth"]) > 0
