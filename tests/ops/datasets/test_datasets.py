"""Where a named data set is looked for."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ops.datasets import open_dataset
from ops.datasets.errors import DatasetMissing
from ops.datasets.movielens_100k import FORMAT
from ops.datasets.shelf import RECORDS, Record
from ops.download import HashMismatch

ROW = "{user}\t10\t4\t100\n"


@pytest.fixture
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with nothing beside it."""
    directory = tmp_path / "inner" / "work"
    directory.mkdir(parents=True)
    monkeypatch.chdir(directory)
    return tmp_path


def test_the_first_place_that_has_it_wins(away: Path) -> None:
    """data_dir, then $HOPSTREAM_DATA, then ../shared/data, then the cache."""
    places = ["given", "named", "inner/shared/data", "cache"]
    for place in places:
        folder = away / place / "ml-100k"
        folder.mkdir(parents=True)
        (folder / "u.data").write_text(ROW.format(user=place))
    found = []
    for place in places:
        dataset = open_dataset(
            "ml-100k",
            data_dir=away / "given",
            cache_dir=away / "cache",
            download=False,
            environment={"HOPSTREAM_DATA": str(away / "named")},
        )
        found.append(dataset.events.users[0])
        (away / place / "ml-100k" / "u.data").unlink()

    assert found == places


def test_missing_everywhere_names_every_place(away: Path) -> None:
    """The error says where it was looked for, and that downloading was not allowed."""
    with pytest.raises(DatasetMissing) as caught:
        open_dataset(
            "ml-100k", data_dir=away / "given", cache_dir=away / "cache", download=False, environment={}
        )

    assert all(part in str(caught.value) for part in ("given", "../shared/data", "cache", "not allowed"))


def test_sets_behind_a_login_say_what_to_do(away: Path) -> None:
    """What cannot be downloaded names the publisher's page and the place to put the file."""
    with pytest.raises(DatasetMissing, match=r"login.*cache/taobao-userbehavior \(see https"):
        open_dataset("taobao-userbehavior", cache_dir=away / "cache", environment={})


def test_an_unknown_name_suggests_the_nearest() -> None:
    """A slip of the pen is answered with the name that was meant."""
    with pytest.raises(DatasetMissing, match="Did you mean ml-latest-small"):
        open_dataset("ml-latestsmall", cache_dir=Path("cache"), download=False)


def _record(address: str, md5: str) -> Record:
    return Record(
        name="tiny", format=FORMAT, licence="free for all", page="here", url=f"{address}/u.data", md5=md5
    )


def test_a_download_is_shown_checked_and_kept(away: Path, serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Licence and hash are said; the second time the cache answers and no server is needed."""
    body = ROW.format(user="ann").encode()
    said: list[str] = []
    address = serve({"/u.data": body})
    monkeypatch.setitem(RECORDS, "tiny", _record(address, hashlib.md5(body).hexdigest()))
    first = open_dataset("tiny", cache_dir=away / "cache", say=said.append, environment={})
    again = open_dataset("tiny", cache_dir=away / "cache", say=said.append, environment={})

    assert first.events.users == again.events.users == ["ann"]
    assert "free for all" in said[0]
    assert "as the publisher states" in said[1]
    assert len(said) == 2


def test_a_wrong_hash_leaves_nothing_behind(away: Path, serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is not the publisher's is refused and is not in the cache afterwards."""
    monkeypatch.setitem(RECORDS, "tiny", _record(serve({"/u.data": b"something else"}), "0" * 32))
    with pytest.raises(HashMismatch):
        open_dataset("tiny", cache_dir=away / "cache", environment={})

    assert not list((away / "cache").rglob("u.data*"))


def test_every_record_can_be_had_or_says_how() -> None:
    """Each named set has an address or an instruction, and only MovieLens hashes stand in the table."""
    assert all(bool(record.url) != bool(record.by_hand) for record in RECORDS.values())
    assert all(record.md5_url for record in RECORDS.values() if record.md5)
