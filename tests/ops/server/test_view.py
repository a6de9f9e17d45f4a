"""The view keeps the newest of each user within its bounds."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.registry import Registry
from ops.server.run import token_of
from ops.server.shelf import Shelf
from ops.server.versions import Versions, follow
from ops.server.view import View
from stream.errors import SettingsInvalid
from stream.events import Item
from stream.records import RecommendationList, encode_list
from stream.settings import load
from tests.model.tiny_version import trained
from tests.ops.server.hall import TOPIC_ID, made_list, state


def put(view: View, made: RecommendationList) -> None:
    view.take_list(made.user.encode(), encode_list(made))


def offset(view: View, user: str = "ann") -> int | None:
    found = view.list_of(user)
    return None if found is None else found.state.offset


def test_a_list_never_goes_back() -> None:
    """An older one that comes later changes nothing, the same one again is harmless."""
    view = View(1 << 20)
    view.generation = TOPIC_ID
    for number in (5, 7, 6, 7):
        put(view, made_list(offset=number))

    assert offset(view) == 7


def test_another_generation_is_older_than_ours() -> None:
    """When the events topic is made anew its offsets begin again, and its lists win."""
    view = View(1 << 20)
    view.generation = TOPIC_ID
    put(view, made_list(offset=900))
    view.generation = "anew"
    new = made_list(offset=1)
    put(view, RecommendationList(**{**_fields(new), "state": _moved(new)}))

    assert offset(view) == 1


def _fields(made: RecommendationList) -> dict[str, object]:
    return {name: getattr(made, name) for name in made.__struct_fields__}


def _moved(made: RecommendationList) -> object:
    return type(made.state)(topic_id="anew", partition=0, offset=made.state.offset, events=1)


def test_what_does_not_fit_goes_the_longest_untouched_first() -> None:
    """Whoever is asked for stays."""
    one = len(encode_list(made_list("u0"))) + 500
    view = View(2 * 3 * one)
    view.generation = TOPIC_ID
    for number in range(3):
        put(view, made_list(f"u{number}"))
    view.list_of("u0")
    put(view, made_list("u3"))

    assert [user for user in ("u0", "u1", "u2", "u3") if view.list_of(user)] == ["u0", "u2", "u3"]
    assert view.lists.num_bytes <= 3 * one
    assert view.lists.num_evicted == 1


@pytest.mark.parametrize("raw", [b"", b"{", b"{}", b"\xff", b"[1]"])
def test_rubbish_is_counted_and_changes_nothing(raw: bytes) -> None:
    """On either topic."""
    view = View(1 << 20)
    put(view, made_list())
    view.take_list(b"ann", raw)
    view.take_state(b"ann", raw, 0.0)

    assert (offset(view), view.state_of("ann"), view.tally.malformed) == (5, None, 2)


def test_a_tombstone_takes_back() -> None:
    """A record without a value is the end of what its key had."""
    view = View(1 << 20)
    put(view, made_list())
    view.take_state(b"ann", state(["i1"]), 0.0)
    view.take_list(b"ann", None)
    view.take_state(b"ann", None, 0.0)

    assert (view.list_of("ann"), view.state_of("ann")) == (None, None)


def test_a_shelf_is_bounded() -> None:
    """The item whose record is oldest goes."""
    shelf = Shelf(2)
    for name in "abac":
        shelf.put(Item(item=name, title=name * 3))

    assert [name for name in "abc" if shelf.get(name)] == ["a", "c"]
    assert shelf.search("bbb", 5, lambda _: 0.0) == []


def test_a_shelf_counts_its_categories() -> None:
    """Records that replace, items that are taken back and those past the bound are counted off."""
    shelf = Shelf(2)
    for item, categories in (("a", ["red", "red"]), ("a", ["red", "blue"]), ("b", ["red"]), ("c", ["blue"])):
        shelf.put(Item(item=item, title=None, categories=categories))
    assert [shelf.num_in(name) for name in ("red", "blue", "green")] == [1, 1, 0]
    assert shelf.num_in(None) is None

    shelf.drop("b")
    assert [shelf.num_in(name) for name in ("red", "blue")] == [0, 1]


def test_two_versions_are_mapped_and_a_withdrawn_one_is_not(tmp_path: Path) -> None:
    """The one that serves and the one before; after a rollback what was withdrawn is gone."""
    registry = Registry(tmp_path)
    known = follow(registry, Versions())
    assert (known.current, known.drift) == (None, ())
    for seed in (1, 2, 3):
        registry.publish(trained(seed=seed))

    known = follow(registry, known)
    assert (known.current.name, known.previous.name) == ("000003", "000002")  # type: ignore[union-attr]
    assert follow(registry, known) is known
    registry.rollback("000002")
    known = follow(registry, known)

    assert (known.current.name, known.previous.name) == ("000002", "000001")  # type: ignore[union-attr]
    assert len(known.drift) == 3
    assert known.withdrawn == {"000003"}


def test_a_damaged_version_changes_nothing(tmp_path: Path) -> None:
    """What was mapped goes on, and the reason is kept."""
    registry = Registry(tmp_path)
    registry.publish(trained(seed=1))
    known = follow(registry, Versions())
    registry.publish(trained(seed=2))
    (tmp_path / "000002" / "index.npy").write_bytes(b"rubbish")

    after = follow(registry, known)

    assert after.current is known.current
    assert "index.npy" in (after.problem or "")
    assert follow(registry, after) is after  # and is not read again and again


def test_a_registry_that_cannot_be_read_is_said_once_and_until_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What was mapped goes on meanwhile."""
    registry = Registry(tmp_path)
    registry.publish(trained(seed=1))
    known = follow(registry, Versions())
    whole = (tmp_path / "current.json").read_bytes()
    (tmp_path / "current.json").write_bytes(b"{")
    after = follow(registry, follow(registry, known))

    assert after.current is known.current
    assert "current.json" in (after.problem or "")
    assert caplog.text.count("the registry cannot be read") == 1

    (tmp_path / "current.json").write_bytes(whole)
    assert follow(registry, after) == known


def test_the_token_comes_from_a_file_or_the_environment(tmp_path: Path) -> None:
    """The file wins; an empty or missing one is an error and no open door."""
    file = tmp_path / "token"
    with_file = load(overrides={"server": {"token_file": file}}, environment={})
    without = load(environment={})

    assert token_of(without, {}) is None
    assert token_of(without, {"HOPSTREAM_TOKEN": "a"}) == "a"
    with pytest.raises(SettingsInvalid, match="token"):
        token_of(with_file, {"HOPSTREAM_TOKEN": "a"})
    file.write_text("\n")
    with pytest.raises(SettingsInvalid, match="empty"):
        token_of(with_file, {})
    file.write_text("b\n")
    assert token_of(with_file, {"HOPSTREAM_TOKEN": "a"}) == "b"
