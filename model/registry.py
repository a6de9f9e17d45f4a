"""Versions on disk: complete or absent, loaded with every digest checked.

Knows: the directory of a version, how it appears at once, which one serves (`current.json`).
Does not know: torch, Kafka, who reads.

Publishing: 1 write everything beside and read it back, 2 rename, 3 replace `current.json`. If we die before
3, the registry says what it said before, and the next publication clears what was left behind. `.lock` is
held for 2 and 3. A rollback is 3 alone. Removing: 1 rename out of sight, 2 delete, now or the next time.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from model import store
from model.errors import ModelError, VersionDamaged, VersionMissing, VersionOvertaken, VersionWithdrawn
from model.lineage import anchor_of, removable, ways_back
from model.themes import ThemeTable
from model.version import Arrays, Trained, Version, check_fit, check_mos

CURRENT = "current.json"
BUILDING = ".building-"
REMOVED = ".removed-"
_NAME = re.compile(r"\d{6,}")


@dataclass(frozen=True, slots=True)
class Current:
    """What serves, by the registry's word."""

    version: str
    epoch: int  # grows with every publish and every rollback
    withdrawn: tuple[str, ...] = ()  # versions that were rolled back: their lists are hidden
    newest: str = ""  # the newest published version; directories beyond it were never announced
    refused: tuple[str, ...] = ()  # sha256 of withdrawn weights: they are not published again


class Registry:
    """The directory of published versions. Several processes may read and publish at once."""

    def __init__(self, directory: Path) -> None:
        """``directory`` need not exist; the first publication makes it."""
        self._directory = Path(directory)

    def current(self) -> Current | None:
        """What serves, None before the first publication. Raises VersionDamaged if it cannot be read."""
        path = self._directory / CURRENT
        try:
            return msgspec.json.decode(path.read_bytes(), type=Current)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise VersionDamaged(f"{path}: {error}.") from None

    def list(self) -> Sequence[str]:
        """Names of the published versions, oldest first."""
        current = self.current()
        if current is None:
            return []
        return [name for name in self._numbered() if int(name) <= int(current.newest)]

    def latest(self) -> str | None:
        """The newest published version that was not withdrawn."""
        current = self.current()
        withdrawn = current.withdrawn if current else ()
        return next((name for name in reversed(self.list()) if name not in withdrawn), None)

    def load(self, name: str) -> Version:
        """Read a version and check it. Raises VersionMissing, VersionDamaged, CatalogueMismatch."""
        version = store.read(self._published(name))
        current = self.current()
        serves = current is not None and current.version == name
        return replace(version, epoch=current.epoch if current is not None and serves else 0)

    def manifest(self, name: str) -> dict[str, Any]:
        """Only what the manifest says. Raises VersionMissing, VersionDamaged."""
        return store.read_manifest(self._published(name))

    def last_good(self) -> str | None:
        """Where a rollback without a name goes: the parent of what serves, else the newest older version that
        is whole and was not withdrawn; None where there is none."""
        current = self.current()
        return None if current is None else self._last_good(current)

    def anchor(self) -> str | None:
        """The best version so far by the gate, in the line of what serves. Raises VersionDamaged."""
        current = self.current()
        if current is None:
            return None
        anchor = anchor_of(self.manifest(current.version))
        gone = anchor in current.withdrawn or anchor not in self.list()
        return current.version if gone else anchor

    def load_themes(self, name: str) -> ThemeTable:
        """Only the themes of a version and what they need; the same errors as `load`."""
        return store.read_themes(self._published(name))

    def load_memory(self, name: str) -> Arrays | None:
        """Only the fast memory that a version brings, None without one; the same errors as `load`."""
        return store.read_memory(self._published(name))

    def publish(self, trained: Trained, serving: str | None = None) -> Version:
        """Make ``trained`` the newest version and the one that serves; returns it as read back from disk.

        Publishes nothing and raises VersionDamaged or CatalogueMismatch if its parts do not fit together or
        did not reach the disk whole, VersionWithdrawn for weights that were rolled back, VersionOvertaken if
        ``serving`` is given and serves no more.
        """
        parts = trained.config, trained.catalogue, trained.weights, trained.index, trained.popularity
        check_fit("the new version", *parts)
        if trained.mos is not None:
            check_mos("the new version", trained.config, trained.themes, trained.mos)
        self._directory.mkdir(parents=True, exist_ok=True)
        with self._building() as building:
            digests = store.write(building, trained)  # 1, in parallel with other publishers
            with self._locked():
                current = self.current() or Current(version="", epoch=0, newest="0")
                if serving not in (None, current.version):
                    raise VersionOvertaken(f"({current.version} serves, not {serving})")
                if digests[store.WEIGHTS] in current.refused:
                    raise VersionWithdrawn("These are the weights of a withdrawn version.")
                self._clear_unannounced(current)
                name = f"{int(current.newest) + 1:06d}"
                store.write_manifest(building, trained, name, digests)
                store.sync(building)
                version = store.read(building, name)
                building.rename(self._directory / name)  # 2
                store.sync(self._directory)
                self._announce(replace(current, version=name, epoch=current.epoch + 1, newest=name))  # 3
        return replace(version, epoch=current.epoch + 1)

    def rollback(self, to: str | None = None, serving: str | None = None) -> Current:
        """Let an earlier version serve again; the one that served is withdrawn for ever.

        ``to``: default `last_good`. ``serving``: only if this one still serves. What comes back is read and
        checked first. Raises VersionMissing where there is nothing to go back to, VersionWithdrawn,
        VersionDamaged, CatalogueMismatch.
        """
        if to is not None:
            self._published(to)
        if self.current() is None:
            raise VersionMissing(f"({self._directory} holds none yet)")
        with self._locked():
            current = self.current()
            assert current is not None  # a registry never loses its current version
            if serving not in (None, current.version):
                raise VersionMissing(f"{serving} does not serve any more; there is nothing to roll back.")
            if to is None:
                to = self._last_good(current)
            if to is None:
                raise VersionMissing(f"No good version is older than {current.version}, which serves.")
            if to in current.withdrawn:
                raise VersionWithdrawn(f"Version {to} cannot come back.")
            if int(to) >= int(current.version):
                already = "already serves" if to == current.version else f"is newer than {current.version}"
                raise VersionMissing(f"Version {to} {already}; there is nothing to roll back to.")
            store.read(self._directory / to)
            back = replace(
                current,
                version=to,
                epoch=current.epoch + 1,
                withdrawn=tuple(sorted({*current.withdrawn, current.version}, key=int)),
                refused=tuple(sorted({*current.refused, *self._weights_of(current.version)})),
            )
            self._announce(back)
            return back

    def prune(self, keep: int) -> Sequence[str]:
        """Remove old versions, and return their names, oldest first.

        What stays: the newest ``keep``, the one that serves, its parent and what a rollback would go back
        to, the anchor, the twin. Raises ValueError for a ``keep`` below 1, VersionDamaged if what serves is.
        """
        if self.current() is None:
            return []
        with self._locked():
            current = self.current()
            assert current is not None  # a registry never loses its current version
            self._clear_unannounced(current)
            needed = {
                current.version,
                self._parent(current.version),
                self._last_good(current),
                self.anchor(),
            }
            names = removable(self.list(), keep, {name for name in needed if name})
            for name in names:
                (self._directory / name).rename(self._directory / f"{REMOVED}{name}")  # 1
            store.sync(self._directory)
            self._clear_removed()  # 2
            return names

    def _last_good(self, current: Current) -> str | None:
        parent = self._parent(current.version)
        for name in ways_back(current.version, parent, self.list(), current.withdrawn):
            try:
                store.read(self._directory / name)
            except ModelError:
                continue  # damaged: not good
            return name
        return None

    def _parent(self, name: str) -> str | None:
        try:
            parent: str | None = self.manifest(name)["parent"]
        except VersionDamaged:
            return None  # the way back must stay open
        return parent

    def _weights_of(self, name: str) -> Sequence[str]:
        try:
            return [self.manifest(name)["files"][store.WEIGHTS]]
        except VersionDamaged:
            return []

    def _published(self, name: str) -> Path:
        if not _NAME.fullmatch(name) or name not in self.list():
            known = ", ".join(self.list()[-5:]) or "none"
            raise VersionMissing(f"{name!r} is not in {self._directory} (newest there: {known}).")
        return self._directory / name

    def _numbered(self) -> Sequence[str]:
        if not self._directory.is_dir():
            return []
        return sorted(
            (path.name for path in self._directory.iterdir() if _NAME.fullmatch(path.name)), key=int
        )

    def _announce(self, current: Current) -> None:
        """Replace `current.json` at once; a reader sees the old or the new one."""
        with tempfile.NamedTemporaryFile(dir=self._directory, prefix=".current-", delete=False) as file:
            file.write(msgspec.json.encode(current))
            file.flush()
            os.fsync(file.fileno())
        os.chmod(file.name, 0o644)  # temporary files are private; readers may be other users
        os.replace(file.name, self._directory / CURRENT)
        store.sync(self._directory)

    def _clear_unannounced(self, current: Current) -> None:
        """Remove what a publisher that died left behind; called under the lock."""
        unannounced = [name for name in self._numbered() if int(name) > int(current.newest)]
        if len(unannounced) > 1:  # a publisher that died leaves one
            told = "is missing or old: put it back from a copy, or move the directory away"
            raise VersionDamaged(f"{self._directory} holds {unannounced[-1]}, but its {CURRENT} {told}.")
        for name in unannounced:
            shutil.rmtree(self._directory / name)
        self._clear_removed()
        for path in self._directory.glob(f"{BUILDING}*"):
            if _abandoned(path):
                shutil.rmtree(path)

    def _clear_removed(self) -> None:
        for path in self._directory.glob(f"{REMOVED}*"):
            shutil.rmtree(path)
        for path in self._directory.glob(".current-*"):  # whoever wrote it died, for we hold the lock
            path.unlink()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with open(self._directory / ".lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # released by the kernel when the process dies
            yield

    @contextmanager
    def _building(self) -> Iterator[Path]:
        """A fresh directory, removed if its publisher fails, and known to be left behind if it dies."""
        with self._locked():
            path = Path(tempfile.mkdtemp(dir=self._directory, prefix=BUILDING))
            path.chmod(0o755)
            descriptor = os.open(path, os.O_RDONLY)
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # held until the publisher is done or dead
        try:
            yield path
        finally:
            os.close(descriptor)
            if path.exists():
                shutil.rmtree(path)


def _abandoned(building: Path) -> bool:
    """Whether the publisher that made this directory is gone."""
    descriptor = os.open(building, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
