"""The folder that a demo empties is its own."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from ops.demo.run import MARKS, Plan, fresh_folder, own_places
from ops.errors import FolderRefused


@pytest.mark.parametrize("mark", MARKS)
def test_a_folder_of_an_earlier_demo_is_emptied(tmp_path: Path, mark: str) -> None:
    """And is known as one again."""
    folder = tmp_path / "run"
    fresh_folder(folder)
    (folder / MARKS[0]).unlink()
    (folder / mark).touch()
    (folder / "models").mkdir()
    fresh_folder(folder)

    assert [path.name for path in folder.iterdir()] == [MARKS[0]]


@pytest.mark.parametrize("bootstrap", ["", "theirs:9092"])
def test_a_demo_writes_where_nobody_else_does(tmp_path: Path, bootstrap: str) -> None:
    """Registry, state and topics are its own, on a broker of its own and on somebody else's."""
    dataset = SimpleNamespace(gap_ms=1000, filter_seen=True)
    plan = Plan(
        dataset=dataset,
        train_source="",
        pacing=lambda _: None,  # type: ignore[arg-type, return-value]
        limit=None,
        warm_s=1,
        seed=0,
        folder=tmp_path,
        bootstrap=bootstrap,
    )
    places = own_places(plan, bootstrap or "127.0.0.1:1")

    folders = {name: Path(value) for name, value in places.items() if name.endswith("DIR")}
    assert len({*folders.values()}) == len(folders) == 5
    assert all(folder.parent == tmp_path for folder in folders.values())
    assert places["KAFKA__PREFIX"].startswith("demo-" if bootstrap else "hopstream.")


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    """There is nothing to lose in it."""
    fresh_folder(tmp_path)

    assert (tmp_path / MARKS[0]).exists()


def test_what_no_demo_wrote_is_left_alone(tmp_path: Path) -> None:
    """A home directory named by mistake stays as it is, and so does a file."""
    (tmp_path / "thesis.tex").write_text("all of it")
    for place in (tmp_path, tmp_path / "thesis.tex"):
        with pytest.raises(FolderRefused):
            fresh_folder(place)

    assert (tmp_path / "thesis.tex").read_text() == "all of it"
