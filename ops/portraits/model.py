"""One version: where it stands, what it is made of, whether its embeddings, routers and themes are alive.

Knows: what is told and how it reads. Does not know: how it is measured (model/anatomy.py, model/health.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from model import anatomy
from model.batch import Events
from model.checkup import check
from model.errors import ModelError
from model.families import FAMILIES
from model.health import Health, Themes, movement, theme_health
from model.registry import Registry
from model.version import Version


def fields(directory: Path, version: Version, histories: Sequence[Events], what: str) -> dict[str, Any]:
    """Everything as plain values; ``histories`` are routed, ``what`` says in words what they are."""
    registry = Registry(directory)
    before, compared = _before(registry, version)
    model = FAMILIES[version.config.family].from_weights(version.config, version.weights)
    routed = check(model, histories, version.config.max_events)
    health = Health(layers=routed.layers, themes=_themes(version, before))
    parts = anatomy.parts(version.weights)
    return {
        "version": version.name,
        "models": str(directory),
        "registry": _state(registry, version),
        "manifest": {key: value for key, value in version.manifest.items() if key != "files"},
        "parameters": sum(part.parameters for part in parts),
        "parts": [asdict(part) for part in parts],
        "abundance": anatomy.abundances(version),
        "abundance_at_most": version.config.stream_dim,
        "learning_curve": version.learning_curve,
        "histories": what,
        "health": health.to_json(),
        "compared_with": compared,
        "theme_items": [theme.share_of_items for theme in anatomy.themes(version)],
    }


def _state(registry: Registry, version: Version) -> dict[str, Any]:
    current = registry.current()
    assert current is not None  # the version was read from this registry
    return {
        "serves": current.version == version.name,
        "withdrawn": version.name in current.withdrawn,
        "current": asdict(current),
        "versions": list(registry.list()),
    }


def _before(registry: Registry, version: Version) -> tuple[Version | None, str]:
    """The version that this one is compared with: its parent, else the one published before it."""
    earlier = [name for name in registry.list() if int(name) < int(version.name)]
    name = version.manifest["parent"] or (earlier[-1] if earlier else None)
    if name is None:
        return None, "the first version: nothing to compare with"
    try:
        before = registry.load(name)
    except ModelError as error:
        return None, f"nothing to compare with: {error}"
    if len(before.themes.labels) != len(version.themes.labels):
        return None, f"version {name} has {len(before.themes.labels)} themes: not compared"
    return before, f"version {name}"


def _themes(version: Version, before: Version | None) -> Themes:
    """Events trained on by theme; drift and movement since the version before."""

    def events(of: Version) -> list[int]:
        theme_I = of.themes.logits_IK.argmax(axis=1)
        counts_K = np.zeros(len(of.themes.labels), np.int64)
        np.add.at(counts_K, theme_I, of.popularity)
        return [int(count) for count in counts_K]

    moved = None
    if before is not None:
        place_of = {item: place for place, item in enumerate(version.catalogue.items)}
        both = [
            (place, place_of[item]) for place, item in enumerate(before.catalogue.items) if item in place_of
        ]
        if both:
            then, now = np.array(both).T
            moved = movement(before.themes.logits_IK[then], version.themes.logits_IK[now])
    return theme_health(
        events(version),
        unit="events",
        names=version.themes.labels,
        before_K=None if before is None else events(before),
        moved=moved,
    )


def show(told: dict[str, Any]) -> None:
    """For people."""
    _show_state(told)
    _show_curve(told)
    _show_parts(told)
    _show_health(told)
    health = told["health"]
    print()
    for alarm in health["alarms"]:
        print(f"ALARM {alarm}")
    if not health["alarms"]:
        print("no alarm: every expert and theme that could be judged has its share")
    for note in health["notes"]:
        print(note)


def _show_state(told: dict[str, Any]) -> None:
    registry, manifest = told["registry"], told["manifest"]
    current = registry["current"]
    serves = f"serves (epoch {current['epoch']})" if registry["serves"] else "does not serve"
    if registry["withdrawn"]:
        serves = "was withdrawn by a rollback"
    start = f"on from version {manifest['parent']}" if manifest["parent"] else "from nothing"
    print(f"version {told['version']} of {manifest['name']} in {told['models']}: {serves}")
    print(
        f"  trained {start} on {manifest['events']:,} events of {manifest['catalogue']['items']:,} items, "
        f"seed {manifest['seed']}"
    )
    names, withdrawn = registry["versions"], current["withdrawn"]
    known = ", ".join(names) if len(names) < 6 else f"{names[0]} to {names[-1]}, {len(names)} of them"
    print(f"  published: {known}; {current['version']} serves; withdrawn: {', '.join(withdrawn) or 'none'}")


def _show_curve(told: dict[str, Any]) -> None:
    curve = told["learning_curve"]
    if not curve:
        print("\nno learning curve")
        return
    last = int(curve[-1]["epoch"])
    best = int(told["manifest"]["metrics"].get("best_epoch", last))
    print(f"\nlearning curve: epoch {best} of {last} was kept")
    print("  " + "".join(f"{name:>11}" for name in curve[0]))
    for epoch in curve:
        if epoch["epoch"] in {1, best, last}:
            print("  " + "".join(f"{_short(value):>11}" for value in epoch.values()))


def _short(value: float) -> str:
    return f"{value:.0f}" if value == int(value) else f"{value:.4f}" if abs(value) < 10 else f"{value:.1f}"


def _show_parts(told: dict[str, Any]) -> None:
    total = told["parameters"]
    wide = max(len(part["name"]) for part in told["parts"])
    print(f"\n{total:,} parameters\n  {'part':{wide}}     parameters   share  arrays")
    for part in told["parts"]:
        shapes = [
            f"{'' if name == part['name'] else name + ' '}{' x '.join(map(str, shape))}"
            for name, shape in part["shapes"].items()
        ]
        share = part["parameters"] / total
        print(f"  {part['name']:{wide}}  {part['parameters']:>13,}  {share:6.1%}  {', '.join(shapes)}")
    print(
        "\ninformation abundance of each stream's item rows (sum of singular values / largest):"
        f"\n  1 is collapsed, {told['abundance_at_most']} is even"
    )
    for stream, found in enumerate(told["abundance"]):
        print(f"  stream {stream}  {found:6.2f}")


def _show_health(told: dict[str, Any]) -> None:
    layers, themes = told["health"]["layers"], told["health"]["themes"]
    print(f"\nrouters: share of tokens by expert, asked with {told['histories']}")
    if layers:
        num = len(layers[0]["load"])
        experts = "".join(f"{f'expert {expert}':>10}" for expert in range(num))
        print(f"  layer{experts}   entropy  median lead   tokens   (even: entropy {math.log(num):.3f})")
    else:
        print("  this network has no mixture of experts")
    for number, layer in enumerate(layers):
        loads = "".join(f"{load:10.1%}" for load in layer["load"])
        lead = "-" if layer["margin"] is None else f"{layer['margin']:.3f}"
        print(f"  {number:5}{loads}  {layer['entropy']:8.3f}  {lead:>11}  {layer['tokens']:7,}")
    _show_themes(told, themes)


def _show_themes(told: dict[str, Any], themes: dict[str, Any]) -> None:
    moved = themes["moved"]
    if themes["drift"] is None:
        print(f"\nthemes ({told['compared_with']})")
    else:
        drift = f"the shares of events drifted by {themes['drift']:.3f} (total variation, 0 to 1)"
        print(f"\nthemes, beside {told['compared_with']}: {drift}")
    print("  theme   items  events" + ("   moved" if moved else "") + "  label")
    for number, label in enumerate(themes["names"]):
        line = f"  {number:5}  {told['theme_items'][number]:6.1%}  {themes['share'][number]:6.1%}"
        if moved:
            line += "       -" if moved[number] is None else f"  {moved[number]:6.1%}"
        print(f"{line}  {label}")
    if moved:
        print("  moved: how many of a theme's items before have another number now;")
        print("  a training from nothing numbers its themes anew")
