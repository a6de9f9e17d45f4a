"""All published versions: who came from whom, what the gate said, what serves, where a rollback goes.

Knows: what is told of them and how it reads. Does not know: how a gate decides, how versions are compared.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from model.errors import ModelError, VersionMissing
from model.lineage import TWIN
from model.registry import Registry
from model.store import MANIFEST


def every(directory: Path) -> dict[str, Any]:
    """One record per version, oldest first. Raises VersionMissing where there is none, VersionDamaged."""
    registry = Registry(directory)
    current = registry.current()
    if current is None:
        raise VersionMissing(f"({directory} holds none yet)")
    return {
        "models": str(directory),
        "current": asdict(current),
        "anchor": _anchor(registry),
        "last_good": registry.last_good(),
        "versions": [_record(registry, directory, name) for name in registry.list()],
    }


def one(directory: Path, name: str) -> dict[str, Any]:
    """A version's record with its whole manifest but the digests of its files.

    Raises VersionMissing, VersionDamaged.
    """
    registry = Registry(directory)
    manifest = registry.manifest(name)
    told = every(directory)
    record = next(version for version in told["versions"] if version["version"] == name)
    kept = {key: value for key, value in manifest.items() if key != "files"}
    return {
        **{key: value for key, value in told.items() if key != "versions"},
        **record,
        "roles": roles(told, name),
        "manifest": kept,
    }


def roles(told: dict[str, Any], name: str) -> list[str]:
    """What a version is to the others."""
    current = told["current"]
    held = {
        "serves": current["version"],
        "anchor": told["anchor"],
        "last good": told["last_good"],
        "twin": TWIN,
    }
    found = [role for role, holder in held.items() if holder == name]
    return [*found, *(["withdrawn"] if name in current["withdrawn"] else [])]


def _anchor(registry: Registry) -> str | None:
    try:
        return registry.anchor()
    except ModelError:
        return None  # what serves is damaged; its record says so


def _record(registry: Registry, directory: Path, name: str) -> dict[str, Any]:
    try:
        manifest = registry.manifest(name)
    except ModelError as error:
        return {"version": name, "damaged": str(error)}
    made_s = (directory / name / MANIFEST).stat().st_mtime
    return {
        "version": name,
        "damaged": None,
        "written_ms": int(1000 * made_s),
        "parent": manifest["parent"],
        "events": manifest["events"],
        "items": manifest["catalogue"]["items"],
        "metrics": manifest["metrics"],
        "gate": manifest["gate"],
        "offsets": manifest.get("offsets"),
    }


def show_every(told: dict[str, Any]) -> None:
    """For people."""
    current = told["current"]
    back = told["last_good"] or "nowhere: nothing good is older"
    print(
        f"{told['models']}: {current['version']} serves (epoch {current['epoch']}), a rollback goes to {back}"
    )
    rows = [_cells(told, record) for record in told["versions"]]
    head = ("version", "written (UTC)", "role", "parent", "events", "items", "gate")
    wide = [max(len(row[place]) for row in [head, *rows]) for place in range(len(head) - 1)]
    for row in [head, *rows]:
        cells = [
            cell.rjust(width) if place in (4, 5) else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, wide, strict=False))
        ]
        print("  ".join([*cells, row[-1]]).rstrip())


def _cells(told: dict[str, Any], record: dict[str, Any]) -> tuple[str, ...]:
    what = ", ".join(roles(told, record["version"]))
    if record["damaged"]:
        return (record["version"], "", what, "", "", "", record["damaged"])
    return (
        record["version"],
        written(record["written_ms"]),
        what,
        record["parent"] or "-",
        f"{record['events']:,}",
        f"{record['items']:,}",
        brief(record["gate"]),
    )


def written(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M}"


def brief(gate: dict[str, Any] | None) -> str:
    """A decision in a few words."""
    if gate is None:
        return "not asked"
    against = gate.get("serving")
    if against is None:
        return str(gate["verdict"])
    best = ", best so far" if gate["best"] else ""
    return (
        f"{gate['verdict']}{best}: alone {_change(against['alone'])}, "
        f"summed {_change(against['fused'])} of {against['version']}"
    )


def show_one(told: dict[str, Any]) -> None:
    """For people."""
    manifest = told["manifest"]
    start = f"on from version {told['parent']}" if told["parent"] else "from nothing"
    print(f"version {told['version']} in {told['models']}: {', '.join(told['roles']) or 'does not serve'}")
    print(f"  written {written(told['written_ms'])} UTC by Hopstream {manifest['code']}")
    print(f"  trained {start} on {told['events']:,} events of {told['items']:,} items")
    for name, value in told["metrics"].items():
        print(f"  {name} {value:.4g}")
    offsets = told["offsets"]
    if offsets:
        through = ", ".join(f"{part}: {last}" for part, last in sorted(offsets["trained_through"].items()))
        by = ", ".join(
            f"{part}: {first}-{last}" for part, (first, last) in sorted(offsets["judged_by"].items())
        )
        print(f"  trained through offsets {through}\n  judged by offsets {by or 'none'}")
    _show_gate(told["gate"])


def _show_gate(gate: dict[str, Any] | None) -> None:
    if gate is None:
        print("gate: not asked")
        return
    print(f"gate: {gate['verdict']}, {gate['reason']}")
    print(
        f"  {gate['events']:,} events of {gate['users']:,} users in {gate['slices']} slices; "
        f"ten users carry {gate['top_ten_share']:.0%}"
    )
    for role in ("serving", "anchor"):
        against = gate[role]
        if against is not None:
            print(
                f"  against {against['version']} ({role}): alone {_change(against['alone'])}, "
                f"summed {_change(against['fused'])}"
            )
    for role, both in gate["lines"].items():
        for kind, means in both.items():
            told = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
            print(f"  {role:8} {kind:6} {told}")


def _change(change: dict[str, float]) -> str:
    return f"{change['mean']:+.1%} [{change['low']:+.1%}, {change['high']:+.1%}]"


def show_difference(told: dict[str, Any]) -> None:
    """For people: model.difference.difference."""
    items = told["catalogue"]
    print(f"from {told['before']} to {told['now']}")
    for part in ("config", "train_config", "metrics"):
        for name, (then, now) in told[part].items():
            print(f"  {part}.{name}: {_value(then)} → {_value(now)}")
    print(f"  events: {told['events'][0]:,} → {told['events'][1]:,}")
    how = "appended" if items["appended"] else "another order, or items lost"
    print(
        f"  items: {items['items'][0]:,} → {items['items'][1]:,} ({how}), {items['added']:,} added, "
        f"{items['removed']:,} removed"
    )
    rows = told["rows"]
    if rows is None:
        print("  rows: nothing to compare")
    else:
        print(
            f"  rows, 1 - cosine: mean {rows['mean']:.4f}, median {rows['median']:.4f}, "
            f"95% below {rows['p95']:.4f}, largest {rows['max']:.4f}; "
            f"{rows['untouched']:,} of {rows['compared']:,} untouched"
        )
        for place in rows["most"]:
            print(f"    {place['moved']:.4f}  {place['item']}  {place['events']:,} events")
    themes = told["themes"]
    print(
        f"  themes: {themes['num'][0]} → {themes['num'][1]}, {len(themes['relabelled'])} with another label"
    )
    for theme in themes["relabelled"]:
        share = None if themes["moved"] is None else themes["moved"][theme["theme"]]
        left = "" if share is None else f"  ({share:.0%} of its items left it)"
        print(f"    {theme['theme']}: {theme['before']} → {theme['now']}{left}")


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
