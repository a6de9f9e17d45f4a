"""A panel as a record, and how it becomes Grafana's.

Knows: grafana-foundation-sdk (a dev dependency: the boards are committed as JSON). Does not know: metrics.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

#: The data source of provisioning/datasources, by its fixed uid.
SOURCE = "prometheus"
HEIGHT = 8


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture: queries with their legends, in one unit."""

    title: str
    about: str  # what to see in it
    unit: str  # Grafana's name of a unit: s, bytes, percentunit, short, …
    queries: tuple[tuple[str, str], ...]  # (PromQL, legend)
    kind: Literal["lines", "stat", "heat"] = "lines"
    width: int = 12  # of 24


@dataclass(frozen=True, slots=True)
class Board:
    """One page of panels; its uid is for ever, links stand on it."""

    uid: str
    title: str
    panels: tuple[Panel, ...]


def dashboard(board: Board) -> dict[str, Any]:
    """Grafana's JSON model of a board, panels numbered from 1."""
    import json  # imports here keep importing this file free

    from grafana_foundation_sdk.builders import dashboard as builders
    from grafana_foundation_sdk.cog.encoder import JSONEncoder

    made = (
        builders.Dashboard(board.title)
        .uid(board.uid)
        .tags(["hopstream"])
        .refresh("5s")
        .time("now-15m", "now")
        .timezone("browser")
        .readonly()
    )
    for panel in board.panels:
        made = made.with_panel(_builder(panel))
    built = made.build()
    for number, one in enumerate(built.panels or [], 1):
        one.id_val = number  # the SDK gives none
    told: dict[str, Any] = json.loads(JSONEncoder(sort_keys=True).encode(built))
    return told


def _builder(panel: Panel) -> Any:
    from grafana_foundation_sdk.builders import common, heatmap, prometheus, stat, timeseries
    from grafana_foundation_sdk.models.dashboard import DataSourceRef
    from grafana_foundation_sdk.models.prometheus import PromQueryFormat

    source = DataSourceRef(type_val="prometheus", uid=SOURCE)
    kinds: dict[str, Any] = {"lines": timeseries.Panel, "stat": stat.Panel, "heat": heatmap.Panel}
    made = kinds[panel.kind]().title(panel.title).description(panel.about).unit(panel.unit)
    made = made.datasource(source).span(panel.width).height(HEIGHT)
    if panel.kind == "heat":
        made = made.calculate(False)  # the buckets come from Prometheus
    if panel.kind == "lines":
        made = made.legend(common.VizLegendOptions().show_legend(True))
    for number, (expr, legend) in enumerate(panel.queries):
        query = prometheus.Dataquery().expr(expr).legend_format(legend).datasource(source)
        query = query.ref_id(chr(ord("A") + number))
        made = made.with_target(query.format(PromQueryFormat.HEATMAP) if panel.kind == "heat" else query)
    return made
