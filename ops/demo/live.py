"""The demo's one live line: how far the replay is, how fast lists come, what they are worth so far.

Knows: its figures and their order. Does not know: how they are measured.
"""

from __future__ import annotations

from collections.abc import Mapping

from ops.demo.quality import newest_report
from ops.demo.report import quality_text
from ops.replay import Progress
from stream.observer import Observer
from stream.settings import Settings

#: Lines of the report that are shown while the replay runs.
SHOWN = ("served", "model", "popular")


def live_line(observer: Observer, settings: Settings, state: Mapping[str, Progress]) -> str:
    """``state``: the newest progress of the replay under "now"."""
    now = state.get("now")
    account = observer.account
    times = account.event_to_list_ms()
    quality = newest_report(settings.evaluator.data_dir)["lines"]
    parts = [
        f"{now.acknowledged:,}/{now.total:,} clicks, {now.acknowledged / max(now.seconds, 1e-9):,.0f}/s"
        if now is not None
        else "0 clicks",
        f"{account.counts.lists / max(now.seconds, 1e-9) if now is not None else 0:,.0f} lists/s",
        "event to list "
        + "/".join("-" if ms is None else f"{ms:.0f}" for ms in list(times.values())[:2])
        + " ms",
    ]
    parts += [f"{name} {quality_text(quality[name])}" for name in SHOWN if name in quality]
    return " · ".join(parts)
