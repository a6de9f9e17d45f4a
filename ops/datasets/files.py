"""Where the bytes lie: a publisher's files in a directory, packed or not, or inside a zip or tar archive.

Knows: .zst, .gz, .zip, .tar.gz; names with a suffix for the packing. Does not know: what is in the files.

Everything is streamed: no archive is unpacked to disk, no file is read whole.
"""

from __future__ import annotations

import fnmatch
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import zstandard

from ops.datasets.errors import DatasetMissing, DatasetUnreadable

PACKED = (".zst", ".gz", ".zip")
ARCHIVES = (".zip", ".tar.gz", ".tgz")
#: What unpacking raises: a stream that is broken or ends early.
BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zstandard.ZstdError,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
)


@dataclass(frozen=True, slots=True)
class File:
    """One file of a data set: on disk, or a member of an archive on disk."""

    path: Path
    member: str | None = None

    def __str__(self) -> str:
        return f"{self.path}:{self.member}" if self.member else str(self.path)

    @property
    def name(self) -> str:
        """The file's own name, without directories and packing: "ratings.csv"."""
        name = Path(self.member).name if self.member else self.path.name
        return _unpacked_name(name)

    @contextmanager
    def text(self, encoding: str = "utf-8") -> Iterator[io.TextIOWrapper]:
        """The unpacked text; raises DatasetUnreadable when the packing is broken or the text is not text."""
        with self.binary() as raw, io.TextIOWrapper(raw, encoding=encoding, newline="") as lines:
            try:
                yield lines
            except UnicodeDecodeError as error:
                raise DatasetUnreadable(f"{self} is not {encoding} text: {error}.") from error

    @contextmanager
    def binary(self) -> Iterator[IO[bytes]]:
        """The unpacked bytes; raises DatasetUnreadable when the packing is broken."""
        try:
            with self._open() as raw:
                yield raw
        except BROKEN as error:
            raise DatasetUnreadable(f"{self} cannot be unpacked: {error}.") from error
        except OSError as error:
            raise DatasetUnreadable(f"{self} cannot be read: {error.strerror or error}.") from error

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        with ExitStack() as stack:
            if self.member is None:
                yield stack.enter_context(_unpacked(self.path))
            elif self.path.suffix == ".zip":
                archive = stack.enter_context(zipfile.ZipFile(self.path))
                yield stack.enter_context(_opened(archive, self.member))
            else:
                tar = stack.enter_context(tarfile.open(self.path))
                found = tar.extractfile(self.member)
                if found is None:
                    raise DatasetMissing(f"{self} is no file.")
                yield stack.enter_context(found)


def _opened(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    try:
        return archive.open(name)
    except RuntimeError as error:  # it wants a password, or is packed as Python cannot unpack
        raise zipfile.BadZipFile(str(error)) from None


@contextmanager
def _unpacked(path: Path) -> Iterator[IO[bytes]]:
    if path.suffix == ".zst":
        with path.open("rb") as packed, zstandard.ZstdDecompressor().stream_reader(packed) as stream:
            yield io.BufferedReader(stream, buffer_size=1 << 20)
    elif path.suffix == ".gz":
        with gzip.open(path, "rb") as unzipped:
            yield io.BufferedReader(unzipped, buffer_size=1 << 20)
    elif path.suffix == ".zip":  # one file in a zip, as UserBehavior.csv.zip is published
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            if len(names) != 1:
                raise DatasetUnreadable(f"{path} holds {len(names)} files where one was expected.")
            with _opened(archive, names[0]) as stream:
                yield stream
    else:
        with path.open("rb") as stream:
            yield stream


def _unpacked_name(name: str) -> str:
    for suffix in PACKED:
        name = name.removesuffix(suffix)
    return name


def find_files(place: Path, patterns: tuple[str, ...]) -> list[File]:
    """Files whose own name matches the first pattern that any matches, in order of name.

    ``place``: a directory (looked through down to two levels, since archives unpack into a folder of their
    own), an archive, or a file. An unpacked file wins over a packed one of the same name.
    """
    candidates = list(_candidates(place))
    for pattern in patterns:
        found: dict[str, File] = {}
        for file in candidates:
            if fnmatch.fnmatch(file.name, pattern):
                found.setdefault(file.name, file)
        if found:
            return [found[name] for name in sorted(found)]
    return []


def required(place: Path, patterns: tuple[str, ...]) -> list[File]:
    """`find_files`, or DatasetMissing when there are none."""
    found = find_files(place, patterns)
    if not found:
        raise DatasetMissing(f"{place} holds no {' or '.join(patterns)}.")
    return found


def _candidates(place: Path) -> Iterator[File]:
    if place.is_dir():
        paths = [
            path for depth in ("*", "*/*", "*/*/*") for path in sorted(place.glob(depth)) if path.is_file()
        ]
        paths.sort(key=lambda path: path.suffix in PACKED)  # stable: plain files first
        yield from (File(path) for path in paths)
        archives = [path for path in paths if path.name.endswith(ARCHIVES)]
    else:
        yield File(place)
        archives = [place] if place.name.endswith(ARCHIVES) else []
    for archive in archives:
        yield from (File(archive, member) for member in _members(archive))


def _members(archive: Path) -> list[str]:
    try:
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive) as zipped:
                return [name for name in zipped.namelist() if not name.endswith("/")]
        with tarfile.open(archive) as tar:
            return [member.name for member in tar.getmembers() if member.isfile()]
    except BROKEN as error:
        raise DatasetUnreadable(f"{archive} cannot be unpacked: {error}.") from error
