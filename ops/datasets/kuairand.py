"""KuaiRand: log_standard_*.csv (impressions with is_click), video_features_basic_*.csv.

Knows: the columns it needs of the two. Does not know: where the files lie, their licence.

A click is an event of type "click", an impression without one of type "impression", which says nothing by
default; the value is the play time in ms. The logs of randomly inserted videos (log_random_*) are not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ops.datasets.building import TableBuilder
from ops.datasets.errors import DatasetUnreadable
from ops.datasets.files import File, find_files, required
from ops.datasets.reading import Format, Read
from ops.datasets.rows import Layout, Report, add_rows, delimited, milliseconds
from stream.events import Item

TYPES = {"1": "click", "0": "impression"}


def _columns(header: Sequence[str], wanted: Sequence[str], file: File) -> list[int]:
    missing = [name for name in wanted if name not in header]
    if missing:
        raise DatasetUnreadable(f"{file}: no column {', '.join(missing)}.")
    return [header.index(name) for name in wanted]


def read(place: Path, report: Report | None) -> Read:
    """The standard logs in order of name, and the videos' tags."""

    def items() -> Iterator[Item]:
        for file in find_files(place, ("video_features_basic*.csv",)):
            with file.text() as lines:
                rows = delimited(lines, ",", file)
                video, tag = _columns(next(rows, []), ("video_id", "tag"), file)
                for row in rows:
                    if len(row) > max(video, tag):
                        tags = [f"tag {part}" for part in row[tag].split(",") if part]
                        yield Item(item=row[video], categories=tags)

    builder = TableBuilder()
    for file in required(place, FORMAT.patterns):
        with file.text() as lines:
            rows = delimited(lines, ",", file)
            header = next(rows, [])
            wanted = ("user_id", "video_id", "time_ms", "is_click", "play_time_ms")
            user, item, time, clicked, played = _columns(header, wanted, file)
            layout = Layout(
                width=len(header),
                user=user,
                item=item,
                time=time,
                clock=milliseconds,
                value=played,
                type=clicked,
                type_names=TYPES,
            )
            add_rows(builder, rows, layout, where=file.name, report=report)
    return Read(builder=builder, items=items)


FORMAT = Format(name="KuaiRand logs", patterns=("log_standard_*.csv",), read=read)
