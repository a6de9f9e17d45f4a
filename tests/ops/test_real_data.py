"""The publishers' own files, where this machine has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ops.datasets import open_dataset

#: Name → (rows, users, items, rows left out).
SIZES = {
    "ml-latest-small": (100_836, 610, 9_724, 0),
    "ml-100k": (100_000, 943, 1_682, 0),
    "amazon-beauty-5core": (198_502, 22_363, 12_101, 0),
    "kuairand-pure-part": (228_329, 25_156, 6_361, 0),
    "taobao-userbehavior-head": (84_440, 815, 55_344, 36),
}


@pytest.mark.parametrize("name", SIZES)
def test_real_sets_have_their_known_sizes(real_data: Path, tmp_path: Path, name: str) -> None:
    """Rows, users, items and refusals are those that are known of the set."""
    dataset = open_dataset(name, data_dir=real_data, cache_dir=tmp_path, download=False)
    events = dataset.events

    assert (len(events), len(events.users), len(events.items), sum(dataset.dropped.values())) == SIZES[name]


@pytest.mark.parametrize("name", ["ml-100k", "ml-latest-small"])
def test_real_sets_are_in_the_known_order(real_data: Path, tmp_path: Path, name: str) -> None:
    """Original files give the same events in the same order as the sorted copies that were checked apart."""
    original = open_dataset(name, data_dir=real_data, cache_dir=tmp_path, download=False).events
    sorted_copy = open_dataset(str(real_data / name / "events.tsv.zst"), cache_dir=tmp_path).events

    for of_one, of_other in (
        (original.time_ms, sorted_copy.time_ms),
        (np.array(original.users)[original.user], np.array(sorted_copy.users)[sorted_copy.user]),
        (np.array(original.items)[original.item], np.array(sorted_copy.items)[sorted_copy.item]),
    ):
        assert np.array_equal(of_one, of_other)


def test_the_zip_as_published_gives_titles(real_data: Path, tmp_path: Path) -> None:
    """The official archive is read without unpacking it."""
    archive = real_data / "ml-latest-small" / "ml-latest-small.zip"
    dataset = open_dataset(str(archive), cache_dir=tmp_path)

    assert len(dataset.events) == 100_836
    assert next(dataset.items()).title == "Toy Story (1995)"
