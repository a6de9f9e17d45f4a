"""Data sets by name or path: found on this machine, or fetched from their publisher, and read.

Knows: where to look, in which order. Does not know: formats, HTTP, topics.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from ops.datasets import named
from ops.datasets.errors import DatasetMissing, DatasetUnreadable
from ops.datasets.files import find_files
from ops.datasets.reading import Format
from ops.datasets.rows import Report
from ops.datasets.shelf import FORMATS, RECORDS, Record
from ops.datasets.table import Dataset, EventTable
from ops.download import Progress, fetch

__all__ = ["Dataset", "EventTable", "open_dataset"]

#: Beside a checkout: where this project's own copies lie.
BESIDE = Path("../shared/data")
UNKNOWN_LICENCE = "not known here: ask whoever gave you the file"


def open_dataset(
    name_or_path: str,
    *,
    data_dir: Path | None = None,
    cache_dir: Path,
    download: bool = True,
    progress: Progress | None = None,
    report: Report | None = None,
    say: Callable[[str], None] | None = None,
    clock: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Dataset:
    """A data set, by its name on the shelf or by a path to a file, directory or archive.

    Looked for in ``data_dir``, $HOPSTREAM_DATA, ../shared/data and ``cache_dir``, then fetched into the cache
    from its publisher. ``progress`` follows the download, ``report`` the reading, ``say`` is told the licence
    and the hash. ``clock`` "s" or "ms" states the unit of times in a file with named columns.
    Raises DatasetMissing with the places searched, DatasetUnreadable, DownloadFailed, HashMismatch.
    """
    record = RECORDS.get(name_or_path)
    if record is None:
        path = Path(name_or_path).expanduser()
        if not path.exists():
            raise DatasetMissing(_unknown(name_or_path))
        return _read(path, _format_of(path), path.stem.split(".")[0], UNKNOWN_LICENCE, report, clock)
    env = os.environ if environment is None else environment
    roots = [data_dir, Path(env["HOPSTREAM_DATA"]) if env.get("HOPSTREAM_DATA") else None, BESIDE, cache_dir]
    places = [root.expanduser() for root in roots if root is not None]
    found = _found(record, places)
    if found is None:
        found = _fetched(record, cache_dir.expanduser(), places, download, progress, say)
    return _read(found, record.format, record.name, record.licence, report, clock, record.gap_ms)


def _found(record: Record, places: list[Path]) -> Path | None:
    for root in places:
        for entry in (record.name, f"{record.name}.zip", f"{record.name}.tar.gz"):
            place = root / entry
            if place.exists() and find_files(place, record.format.patterns):
                return place
    return None


def _fetched(
    record: Record,
    cache_dir: Path,
    places: list[Path],
    download: bool,
    progress: Progress | None,
    say: Callable[[str], None] | None,
) -> Path:
    directory = cache_dir / record.name
    searched = ", ".join(str(root / record.name) for root in places)
    if record.url is None:
        ending = f" {directory}" if record.by_hand.endswith("into") else ""
        raise DatasetMissing(
            f"{record.name} is in none of {searched}. It is not downloaded: {record.by_hand}{ending} "
            f"(see {record.page})."
        )
    if not download:
        raise DatasetMissing(f"{record.name} is in none of {searched}, and downloading was not allowed.")
    if say:
        say(f"{record.name}: fetching {record.url}\nlicence: {record.licence}\nsee {record.page}")
    fetched = fetch(
        record.url,
        directory / record.url.rsplit("/", 1)[1],
        md5=record.md5,
        md5_url=record.md5_url,
        progress=progress,
    )
    if say:
        against = (
            "as the publisher states" if fetched.stated else "the publisher states none to check it against"
        )
        say(f"{fetched.path}: md5 {fetched.md5}, {against}")
    return directory


def _read(
    place: Path,
    format_: Format,
    name: str,
    licence: str,
    report: Report | None,
    clock: str | None,
    gap_ms: int | None = None,
) -> Dataset:
    read = format_.read
    if clock is not None:
        if format_ is not named.FORMAT:
            raise DatasetUnreadable(f"{place}: {format_.name} have times in units of their own; leave them.")
        read = named.reader(clock)
    found = read(place, report)
    events = found.builder.build(name, found.within_ms)
    return Dataset(
        name=name,
        licence=licence,
        source=str(place),
        events=events,
        gap_ms=gap_ms or format_.gap_ms,
        filter_seen=format_.filter_seen,
        dropped=dict(found.builder.dropped),
        items_reader=found.items,
    )


def _format_of(path: Path) -> Format:
    for format_ in FORMATS:
        if find_files(path, format_.patterns):
            return format_
    known = ", ".join(pattern for format_ in FORMATS for pattern in format_.patterns)
    raise DatasetMissing(f"{path} holds nothing that can be read; known files are {known}, packed or not.")


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, RECORDS, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"There is no file {name}, and no data set of that name; known are {', '.join(RECORDS)}.{hint}"
