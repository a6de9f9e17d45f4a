"""The broker's archives: locked, fetched whole, refused when they are others."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import requests

from ops import jars
from ops.errors import JarsDamaged, JarsMissing
from ops.jars import Jar

CONTENT = b"an archive"
JAR = Jar("org.example:thing", "1.0", hashlib.sha256(CONTENT).hexdigest())


class Shop:
    """Delivers these bytes and remembers what was asked for."""

    def __init__(self, content: bytes = CONTENT) -> None:
        self.content = content
        self.asked: list[str] = []

    def __call__(self, jar: Jar, folder: Path) -> Path:
        self.asked.append(jar.artifact)
        path = folder / jar.filename
        path.write_bytes(self.content)
        return path


def test_archives_are_fetched_once(tmp_path: Path) -> None:
    """The second call finds them in the cache and asks nobody."""
    shop = Shop()

    first = jars.class_path(tmp_path, [JAR], shop)
    second = jars.class_path(tmp_path, [JAR], shop)

    assert first == second == [tmp_path / "thing-1.0.jar"]
    assert shop.asked == ["org.example:thing"]


def test_another_archive_is_not_let_in(tmp_path: Path) -> None:
    """A fetched file with another hash is refused and nothing of it stays in the cache."""
    with pytest.raises(JarsDamaged, match=JAR.sha256):
        jars.class_path(tmp_path, [JAR], Shop(b"something else"))

    assert list(tmp_path.iterdir()) == []


def test_a_changed_archive_is_refused_at_the_next_start(tmp_path: Path) -> None:
    """The hash is looked at every time, and the error names the file to delete."""
    jars.class_path(tmp_path, [JAR], Shop())
    (tmp_path / JAR.filename).write_bytes(b"changed")

    with pytest.raises(JarsDamaged, match=r"thing-1\.0\.jar has sha256"):
        jars.class_path(tmp_path, [JAR], Shop())


def test_without_network_and_cache_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused connection becomes an error that names the archive and the way out."""

    def refuse(*_: object, **__: object) -> requests.Response:
        raise requests.ConnectionError("no route")

    monkeypatch.setattr(requests, "request", refuse)

    with pytest.raises(JarsMissing, match=r"copy the cache directory.*org\.example:thing:1\.0"):
        jars.class_path(tmp_path, [JAR])


def test_the_lock_names_one_broker_and_no_address() -> None:
    """Every archive has a hash and its name once; broker and client are of one version."""
    locked = jars.locked()

    assert len({jar.filename for jar in locked}) == len(locked)
    assert all(len(jar.sha256) == 64 for jar in locked)
    assert {jar.version for jar in locked if jar.artifact.startswith("org.apache.kafka:")} == {"4.1.2"}
    assert "//" not in jars.LOCK_FILE.read_text()
