"""Taobao's UserBehavior.csv: `user,item,category,behaviour,seconds`, no header.

Knows: its four types and the days it covers. Does not know: where the file lies, its licence.

People come back to what they have seen here, so lists for it keep seen items.
"""

from __future__ import annotations

from pathlib import Path

from ops.datasets.building import TableBuilder
from ops.datasets.files import required
from ops.datasets.named import described
from ops.datasets.reading import Format, Read
from ops.datasets.rows import Layout, Report, add_rows, delimited

#: The publisher's nine days, 2017-11-25 to 2017-12-03, in China's time (UTC+8); the file holds a few others.
FIRST_MS = 1_511_539_200_000
END_MS = 1_512_316_800_000
#: View, cart, favourite, purchase: all of them say yes.
TYPES = {"pv": "pv", "cart": "cart", "fav": "fav", "buy": "buy"}


def read(place: Path, report: Report | None) -> Read:
    """The events, and each item's newest category."""
    layout = Layout(width=5, user=0, item=1, category=2, type=3, time=4, type_names=TYPES)
    builder = TableBuilder()
    categories: dict[str, str] = {}
    for file in required(place, FORMAT.patterns):
        with file.text() as lines:
            rows = delimited(lines, ",", file)
            add_rows(builder, rows, layout, where=file.name, report=report, categories=categories)
    return Read(builder=builder, items=lambda: described(categories), within_ms=(FIRST_MS, END_MS))


FORMAT = Format(name="Taobao UserBehavior", patterns=("UserBehavior.csv",), read=read, filter_seen=False)
