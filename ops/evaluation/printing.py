"""Tables for people: plain text, aligned, one line per model.

Knows: which columns there are. Does not know: where the figures come from.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from model.metrics import Interval
from ops.evaluation.records import Run
from ops.evaluation.summary import JUDGED, Line, Summary

#: Columns beside those with an interval.
OTHERS = ("mrr@10", "recall@50", "ndcg@50", "coverage@10")


def run_line(run: Run) -> str:
    """What is said as soon as a run is finished."""
    found = next(iter(run.groups.values()))
    shown = "  ".join(f"{name} {found[name]:.4f}" for name in (*JUDGED, *OTHERS) if name in found)
    best = " ".join(map(str, run.best_epochs()))
    how = f"best epoch {best}, {run.minutes:.1f} min" if run.best_epoch else "baseline"
    return f"{run.variant} {run.model} seed {run.seed}: {shown}  ({how})"


def table(found: Summary) -> str:
    """All of a summary, variant by variant."""
    seen = "filtered" if found.filter_seen else "kept"
    head = f"{found.dataset}, protocol {found.protocol}: whole catalogue ranked, seen items {seen}"
    return "\n".join([head, *(line for name in found.headline for line in _variant(found, name))])


def _variant(found: Summary, variant: str) -> Iterator[str]:
    headline = found.headline[variant]
    lines = [line for line in found.lines if line.variant == variant]
    questions = {name: int(group["questions"]) for name, group in lines[0].groups.items()}
    users = lines[0].intervals["recall@10"].users
    yield ""
    yield f"variant {variant}: {questions[headline]:,} questions of {users:,} users ({headline})"
    columns = ["model", "recall@10", "", "nDCG@10", "", "MRR@10", "recall@50", "nDCG@50", "coverage@10"]
    yield from aligned(
        [[*columns, "best epoch", "min", "CPU min", "parameters"]]
        + [
            [
                line.model,
                *_judged(line, "recall@10"),
                *_judged(line, "ndcg@10"),
                *_figures(line, headline),
                *_cost(line),
            ]
            for line in lines
        ]
    )
    if any(line.spread for line in lines):
        yield ""
        yield f"standard deviation over seeds, up to {max(len(line.seeds) for line in lines)}"
        yield from aligned(
            [
                [line.model, *(f"{name} {line.spread[name]:.4f}" for name in JUDGED)]
                for line in lines
                if line.spread
            ]
        )
    apart = [name for name, num in questions.items() if name != headline and 0 < num < questions[headline]]
    if apart:
        yield ""
        yield "recall@10 / nDCG@10 by group of questions"
        yield from aligned(
            [
                ["group", "questions", *(line.model for line in lines)],
                *([name, f"{questions[name]:,}", *(_pair(line, name) for line in lines)] for name in apart),
            ]
        )
    if any(line.gauc for line in lines):
        yield ""
        yield "GAUC over impressions"
        yield from aligned([[line.model, *_gauc(line)] for line in lines if line.gauc])
    yield from _old_slice([line for line in lines if line.old_recalls])
    differences = [one for one in found.differences if one.variant == variant]
    if differences:
        yield ""
        yield f"less {differences[0].against}, on the same questions"
        yield from aligned(
            [
                [one.model, one.figure, f"{one.interval.mean:+.4f}", _interval(one.interval, "+")]
                for one in differences
            ]
        )


def _old_slice(lines: Sequence[Line]) -> Iterator[str]:
    """What is still known of the time before the stream: the first version, the middle one and the last."""
    if not lines:
        return
    yield ""
    yield f"recall@10 on {lines[0].old_moments:,} moments before the stream, by version"
    yield from aligned(
        [
            ["model", "first", "middle", "last", "of"],
            *(
                [
                    line.model,
                    *(f"{line.old_recalls[place]:.4f}" for place in (0, len(line.old_recalls) // 2, -1)),
                    str(len(line.old_recalls)),
                ]
                for line in lines
            ),
        ]
    )


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            row[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
        ]
        yield "  ".join(cells).rstrip()


def _judged(line: Line, figure: str) -> list[str]:
    return [f"{line.intervals[figure].mean:.4f}", _interval(line.intervals[figure])]


def _figures(line: Line, group: str) -> list[str]:
    found = line.groups[group]
    return [f"{found[name]:.4f}" if name in found else "" for name in OTHERS]


def _cost(line: Line) -> list[str]:
    """Empty for a baseline."""
    if not line.parameters:
        return ["", "", "", ""]
    return [
        " ".join(map(str, line.best_epochs)),
        f"{statistics.fmean(line.minutes):.1f}",
        f"{statistics.fmean(line.cpu_minutes):.1f}",
        f"{line.item_parameters:,} + {line.parameters - line.item_parameters:,}",
    ]


def _pair(line: Line, group: str) -> str:
    found = line.groups[group]
    return f"{found['recall@10']:.4f} / {found['ndcg@10']:.4f}"


def _gauc(line: Line) -> list[str]:
    """The mean over seeds; the interval is the first seed's."""
    first = line.gauc[0]
    interval = f"[{first['low']:.4f}, {first['high']:.4f}]" if "low" in first else ""
    counted = f"{first['impressions']:,.0f} impressions of {first['users']:,.0f} users"
    return [f"{statistics.fmean(one['mean'] for one in line.gauc):.4f}", interval, counted]


def _interval(found: Interval, sign: str = "") -> str:
    """Nothing below the number of users that an interval needs."""
    if found.low is None or found.high is None:
        return ""
    return f"[{found.low:{sign}.4f}, {found.high:{sign}.4f}]"
