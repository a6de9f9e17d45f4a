"""`hopstream train`: a model from a data set, published where the scorer looks.

Knows: the verb's options and what it prints. Does not know: how a model is trained (model/train.py).
"""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops import options, second_stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model.checkpoint import Checkpoints
    from model.columns import EventColumns
    from model.config import TrainConfig
    from model.evaluate import Report
    from model.metrics import FloatArray
    from model.version import Trained, Version
    from ops.datasets import Dataset
    from stream.settings import Settings


class Part(StrEnum):
    """Which events are trained on."""

    WARM = "warm"
    ALL = "all"


def train(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="A data set's name, or a file.")],
    part: Annotated[
        Part, typer.Option(help="warm: the first 80 % of the events; all: every event.")
    ] = Part.WARM,
    budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="Stop after this long, like 60s or 5m; keep the best.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Same events, seed and threads: same weights.")] = 0,
    recipe: Annotated[
        str | None,
        typer.Option(metavar="CHANGES", help="Of TrainConfig, like precision=auto,negatives_per=position."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A checkpoint every minute here; if one is here, go on from it."),
    ] = None,
    themes: Annotated[
        bool | None,
        typer.Option(
            "--themes/--no-themes",
            help="Then learn themes (MoS) over the network; a second version if validation is no worse. "
            "Default: yes without --budget, which both would share.",
        ),
    ] = None,
    evaluate: Annotated[
        bool, typer.Option("--evaluate", help="Then judge the frozen model on the events not trained on.")
    ] = False,
    data_dir: options.DataDir = None,
    models: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where versions are published; default: models.dir.")
    ] = None,
    download: options.Download = True,
    config: options.Config = None,
    as_json: options.Json = False,
) -> None:
    """Train a model from nothing and publish it; a running scorer adopts it within seconds. Needs no broker.

    Themes are a second stage over the network as it stands, and a second version, whose parent is the first.

    Under `torchrun --nproc-per-node N -m ops.cli train ...` N processes share every batch, and one of them
    publishes.

    Exit status: 0 published; 1 too few events, or a checkpoint of another training; 2 usage; 4 no such data
    set.

    Example: hopstream train ml-latest-small --budget 60s --evaluate
    """
    # OpenMP reads this when torch is imported. Threads that spin while they wait take the cores from others:
    # on two busy cores a step then costs three to six times the processor time.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from dataclasses import replace

    from model.checkpoint import Checkpoints
    from model.distributed import joined, rank
    from model.families import RECIPES
    from model.registry import Registry
    from model.sequences import split

    overrides = {"models": {"dir": models}, "data": {"dir": data_dir}}
    settings = options.settings_from(config, overrides=overrides)
    if part is Part.ALL and evaluate:
        raise typer.BadParameter("--evaluate needs events that are not trained on: leave out --part all")
    total_s, themed = _seconds(budget), None
    themes = total_s is None if themes is None else themes
    first_s = total_s and total_s * (second_stage.FIRST_SHARE if themes else 1.0)
    training = replace(_changed(recipe), seed=seed, budget_s=first_s)
    found = _opened(dataset, settings, download)
    columns = found.events.positives(settings.events.negative, settings.events.neutral)
    warm = split(columns)[0] if part is Part.WARM else columns
    checkpoints = None if resume is None else Checkpoints(resume)
    with joined(int(os.environ.get("WORLD_SIZE", "1"))):  # as torchrun says
        trained = _trained(found, warm, RECIPES["served"].model, training, checkpoints)
        if rank() > 0:
            return
    if themes:
        themed = second_stage.learned(found, warm, trained, settings, total_s and total_s - (first_s or 0))
        trained = replace(trained, metrics=trained.metrics | (themed.metrics() if themed else {}))
    registry = Registry(settings.models.dir)
    version = plain = registry.publish(trained)
    if themed is not None and themed.kept:
        child = replace(themed.trained, parent=plain.name)
        version = registry.publish(replace(child, metrics=child.metrics | themed.metrics()))
    if checkpoints is not None:
        checkpoints.clear()
    others = {}
    if evaluate and version.mos is not None:
        others = {"model + themes": second_stage.ranks(version, columns, len(warm), found, settings)}
    report = _judged(plain, columns, len(warm), found.filter_seen, others) if evaluate else None
    if themed is not None:
        print(second_stage.verdict(themed), file=sys.stderr)
    _tell(found.name, settings.models.dir, version, report, sys.stderr if as_json else sys.stdout)
    if as_json:
        options.print_json(_result(found.name, settings.models.dir, version, report))


def _changed(changes: str | None) -> TrainConfig:
    """The recipe of warm starts with some fields changed, in the syntax of `hopstream evaluate --models`."""
    from dataclasses import replace

    from model.families import RECIPES
    from ops.evaluation.naming import TRAIN, parse

    usual = RECIPES["served"].train
    if changes is None:
        return usual
    values = parse(f"fuxi-mme:{changes}")[0].changes
    foreign = sorted(values.keys() - (TRAIN.keys() - {"budget_s"}))
    if foreign:
        raise typer.BadParameter(f"--recipe {changes}: {', '.join(foreign)} is not changed here")
    return replace(usual, **values)


def _seconds(budget: str | None) -> float | None:
    from stream.settings import duration_ms

    if budget is None:
        return None
    try:
        budget_ms = int(duration_ms(budget))
    except ValueError as error:
        raise typer.BadParameter(f"--budget {budget}: {error}") from None
    if budget_ms <= 0:
        raise typer.BadParameter(f"--budget {budget}: no time to train in")
    return budget_ms / 1000


def _opened(name: str, settings: Settings, download: bool) -> Dataset:
    from ops.datasets import open_dataset

    return open_dataset(
        name,
        data_dir=settings.data.dir,
        cache_dir=settings.data.cache,
        download=download,
        say=lambda text: print(text, file=sys.stderr),
    )


def _trained(
    found: Dataset, warm: EventColumns, shape: Any, recipe: TrainConfig, checkpoints: Checkpoints | None
) -> Trained:
    """Train with a line that shows how far it is: rewritten on a terminal, one line per epoch elsewhere."""
    from rich.console import Console

    from model.distributed import rank
    from model.train import warm_start

    console = Console(stderr=True, quiet=rank() > 0)
    items = list(found.items())
    with console.status(f"{found.name}: {len(warm):,} events, rows from a spectral start") as status:

        def progress(epoch: int, of: int, loss: float, ndcg: float, eta_s: float) -> None:
            line = (
                f"epoch {epoch} of at most {of} · loss {loss:.3f} · nDCG@10 {ndcg:.4f} · {eta_s:.0f} s left"
            )
            status.update(line)
            if not console.is_terminal:
                console.print(line, highlight=False)

        return warm_start(
            warm,
            shape,
            recipe,
            titles={item.item: item.title for item in items if item.title},
            categories={item.item: item.categories for item in items if item.categories},
            progress=progress,
            checkpoints=checkpoints,
        )


def _judged(
    version: Version,
    columns: EventColumns,
    num_warm: int,
    filter_seen: bool,
    others: Mapping[str, FloatArray],
) -> Report:
    from model.evaluate import evaluate
    from model.mme import FuxiMME

    model = FuxiMME.from_weights(version.config, version.weights)
    return evaluate(model, version.catalogue, columns, num_warm, filter_seen=filter_seen, others=others)


def _tell(name: str, directory: Path, version: Version, report: Report | None, stream: Any) -> None:
    metrics = version.manifest["metrics"]
    print(
        f"{name}: version {version.name} (epoch {version.epoch}) in {directory}, "
        f"{version.manifest['events']:,} events, {len(version.catalogue):,} items, "
        f"{metrics['seconds']:.0f} s\n"
        f"validation nDCG@10 {metrics['validation_ndcg@10']:.4f}, "
        f"best of {metrics['epochs']:.0f} epochs: {metrics['best_epoch']:.0f}\n"
        + _facets(metrics)
        + f"themes: {', '.join(version.themes.labels)}",
        file=stream,
    )
    if report is None:
        return
    print(f"{report.judged:,} events of {report.users:,} users judged, frozen model:", file=stream)
    for line, found in report.lines.items():
        means, recall = found.groups["all"], found.recall
        interval = f" [{recall.low:.4f}, {recall.high:.4f}]" if recall.low is not None else ""
        print(
            f"  {line:16} recall@10 {means['recall@10']:.4f}{interval}  "
            f"nDCG@10 {means['ndcg@10']:.4f}  MRR@10 {means['mrr@10']:.4f}",
            file=stream,
        )


def _facets(metrics: dict[str, float]) -> str:
    """What became of the facet gate, where one was learned."""
    if "facets_kept" not in metrics:
        return ""
    return (
        f"facet gate {'kept' if metrics['facets_kept'] else 'left out'}: validation nDCG over all ranks "
        f"{metrics['facets_gated_ndcg']:.4f}, {metrics['facets_even_ndcg']:.4f} with even streams\n"
    )


def _result(name: str, directory: Path, version: Version, report: Report | None) -> dict[str, Any]:
    return {
        "dataset": name,
        "models": str(directory),
        "version": version.name,
        "epoch": version.epoch,
        "events": version.manifest["events"],
        "items": len(version.catalogue),
        "metrics": version.manifest["metrics"],
        "themes": version.themes.labels,
        "evaluation": None if report is None else report.to_json(),
    }
