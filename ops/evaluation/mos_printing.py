"""The table of MoS for people: plain text, one line per variant, then what each adds, themes and hopping.

Knows: which columns there are. Does not know: where the figures come from.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence

from model.metrics import Interval
from ops.evaluation.mos_summary import FIGURES, GAUC, MoSSummary, VariantLine
from ops.evaluation.printing import aligned

#: What a column is called, where it is not its name.
CALLED = {"ndcg@10": "nDCG@10", "ndcg": "nDCG", "gauc": "GAUC"}


def mos_table(found: MoSSummary) -> str:
    """All of a summary, network by network."""
    seen = "filtered" if found.filter_seen else "kept"
    head = [
        f"{found.dataset}, protocol mos: whole catalogue ranked, seen items {seen}",
        f"{found.questions:,} questions of {found.users:,} users",
    ]
    return "\n".join([*head, *(line for model in found.networks for line in _model(found, model))])


def _model(found: MoSSummary, model: str) -> Iterator[str]:
    lines = [line for line in found.lines if line.model == model]
    figures = [figure for figure in (*FIGURES, GAUC) if figure in lines[0].figures]
    network = found.networks[model]
    epochs = " ".join(f"{one['best_epoch']:.0f}" for one in network)
    cpu = statistics.fmean(one["cpu_minutes"] for one in network)
    yield ""
    seeds = " ".join(map(str, lines[0].seeds))
    yield f"{model}, seed {seeds}; the network: best epoch {epochs}, {cpu:.1f} CPU min"
    heads = [cell for figure in figures for cell in (CALLED.get(figure, figure), "")]
    yield from aligned(
        [["variant", *heads, "GFLOP", "ms", "events read", "min", "CPU min"]]
        + [[line.variant, *_cells(line.figures, figures), *_cost(line)] for line in lines]
    )
    if lines[0].impressions is not None:
        yield f"GAUC over {lines[0].impressions:,.0f} impressions of {lines[0].figures[GAUC].users:,} users"
    yield ""
    yield "one less the other, on the same questions"
    yield from aligned(
        [
            [
                f"{one.variant} less {one.against}",
                CALLED.get(one.figure, one.figure),
                *_told(one.interval, "+"),
            ]
            for one in found.differences
            if one.model == model
        ]
    )
    yield ""
    yield from _themes(lines)
    yield from _hopping(found.hopping[model])


def _cells(figures: Mapping[str, Interval], names: Sequence[str]) -> list[str]:
    return [cell for name in names for cell in _told(figures[name])]


def _told(found: Interval, sign: str = "") -> list[str]:
    """A mean and its interval; no interval below the number of users that one needs."""
    if found.low is None or found.high is None:
        return [f"{found.mean:{sign}.4f}", ""]
    return [f"{found.mean:{sign}.4f}", f"[{found.low:{sign}.4f}, {found.high:{sign}.4f}]"]


def _cost(line: VariantLine) -> list[str]:
    return [
        f"{line.gflop:.3f}",
        f"{line.ms:.1f}",
        f"{line.events:.0f}",
        f"{line.minutes:.1f}",
        f"{line.cpu_minutes:.1f}",
    ]


def _themes(lines: Sequence[VariantLine]) -> Iterator[str]:
    for line in lines:
        for shares in line.shares:
            shown = " ".join(f"{share:.0%}" for share in sorted(shares, reverse=True))
            yield f"{line.variant}: later sessions by theme {shown}"
        if line.routed_rightly is not None:
            yield f"{line.variant}: {line.routed_rightly:.1%} of them have the true theme"
        yield from (f"{line.variant}: alarm: {alarm}" for alarm in line.alarms)


def _hopping(found: Sequence[Mapping[str, float]]) -> Iterator[str]:
    mean = {name: statistics.fmean(one[name] for one in found) for name in found[0]}
    yield (
        f"session hopping, mean cosine of item vectors over {mean['sessions']:,.0f} sessions of "
        f"{mean['users']:,.0f} users:"
    )
    yield (
        f"inside {mean['inside']:.3f}, the session before {mean['adjacent']:.3f}, "
        f"the best earlier one {mean['best_earlier']:.3f} (the best of as many of other users "
        f"{mean['best_strange']:.3f}), one of another user {mean['anybody']:.3f}; "
        f"{mean['returns']:.0%} are more alike to an earlier one than to the one before"
    )
