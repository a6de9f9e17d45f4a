"""Rows of a slice's new items, as the trainer makes them between versions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.config import ModelConfig
from model.version import Version
from stream.comparing import lines_of
from stream.lessons import Click, Slice
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


@pytest.mark.parametrize("filter_seen", [True, False])
def test_a_row_competes_with_the_whole_catalogue_however_few_items_the_slice_names(
    version: Version, filter_seen: bool
) -> None:
    """The tenth place of a list is the tenth of 300 items, of which the slice names two."""
    _, exposure = lines_of(a_slice("new"), version, None, filter_seen=filter_seen)

    told = exposure.to_arrays()
    index = version.index[2 if filter_seen else 0 :]
    tenth = np.sort(told["vectors"] @ index.T, axis=1)[:, -10]
    assert len(tenth) == len(USERS)
    assert told["tenth"] == pytest.approx(tenth, abs=1e-5)


def test_lists_and_clicks_of_one_slice_go_on_in_the_next(version: Version) -> None:
    """Also through a slice in which everything is known, which has clicks and asks for no lists."""
    lines, exposure = lines_of(a_slice("new"), version, None, filter_seen=True)
    for item in ("item-9", "newer"):
        _, exposure = lines_of(a_slice(item), version, exposure, filter_seen=True)

    told = exposure.to_arrays()
    assert list(lines) == ["new"]
    assert len(told["tenth"]) == 2 * len(USERS)
    assert told["counts"].tolist() == [2 * len(USERS), 3 * len(USERS)]
    assert told["as_of"].tolist() == [len(USERS), 3 * len(USERS)]  # of "new" and of "newer"


def test_users_of_whom_nothing_is_known_make_no_row_and_no_list(version: Version) -> None:
    """Their clicks count among all."""
    lines, exposure = lines_of(a_slice("new", past=[]), version, None, filter_seen=True)

    assert lines == {}
    assert len(exposure.to_arrays()["tenth"]) == 0
    assert exposure.to_arrays()["counts"].tolist() == [0, len(USERS)]
