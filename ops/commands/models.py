"""`hopstream models`: published versions listed, shown, compared, rolled back, removed.

Knows: the verbs' options, what is printed. Does not know: how a registry works (model/registry.py), what an
announcement says (stream/announcing.py).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops import options

if TYPE_CHECKING:
    from model.registry import Current
    from stream.settings import Settings

models = typer.Typer(no_args_is_help=True, help="Published versions: what serves, what came before.")

Directory = Annotated[
    Path | None, typer.Option("--models", metavar="DIR", help="Published versions; default: models.dir.")
]

#: How long a broker may take to answer before a rollback goes unannounced.
ANSWER_S = 1.0


@models.command("list")
def list_(directory: Directory = None, config: options.Config = None, as_json: options.Json = False) -> None:
    """Every published version: role, parent, and what the gate said. Needs no broker.

    Exit status: 0 listed; 1 the registry is damaged; 2 usage; 4 nothing was published yet.

    Example: hopstream models list
    """
    from ops.portraits import versions

    told = versions.every(_settings(directory, config).models.dir)
    if as_json:
        options.print_json(told)
    else:
        versions.show_every(told)


@models.command()
def show(
    name: Annotated[
        str | None,
        typer.Argument(metavar="VERSION", help="Like 000002 or 2; default: the one that serves."),
    ] = None,
    directory: Directory = None,
    config: options.Config = None,
    as_json: options.Json = False,
) -> None:
    """Where a version comes from, and the gate's decision with every number. Needs no broker.

    Exit status: 0 shown; 1 damaged; 2 usage; 4 no such version.

    Example: hopstream models show 3
    """
    from ops.portraits import versions

    where = _settings(directory, config).models.dir
    told = versions.one(where, _named(where, name))
    if as_json:
        options.print_json(told)
    else:
        versions.show_one(told)


@models.command()
def diff(
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="A version, like 000001 or 1.")],
    now: Annotated[
        str | None, typer.Argument(metavar="NOW", help="Another; default: the one that serves.")
    ] = None,
    num: Annotated[int, typer.Option("-n", min=0, max=1000, help="Items to name in each list.")] = 10,
    directory: Directory = None,
    config: options.Config = None,
    as_json: options.Json = False,
) -> None:
    """What changed: settings, metrics, catalogue, how far item rows moved, theme labels. Needs no broker.

    Exit status: 0 shown; 1 damaged; 2 usage; 4 no such version.

    Example: hopstream models diff 1 2 -n 5
    """
    from model.difference import difference
    from model.registry import Registry
    from ops.portraits import versions

    where = _settings(directory, config).models.dir
    registry = Registry(where)
    told = difference(registry.load(_named(where, before)), registry.load(_named(where, now)), num)
    if as_json:
        options.print_json(told)
    else:
        versions.show_difference(told)


@models.command()
def rollback(
    to: Annotated[
        str | None,
        typer.Argument(metavar="VERSION", help="Default: the parent of what serves, or what is older."),
    ] = None,
    directory: Directory = None,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    as_json: options.Json = False,
) -> None:
    """Let an earlier version serve again; the one that served never comes back. Roles follow within seconds.

    The models topic is told where a broker answers; without one the rollback counts all the same.

    Exit status: 0 done; 1 the version is damaged or was withdrawn; 2 usage; 4 no such version, or nothing to
    go back to.

    Example: hopstream models rollback
    """
    from dataclasses import asdict

    from model.registry import Registry

    settings = _settings(directory, config, bootstrap)
    registry = Registry(settings.models.dir)
    before = registry.current()
    wanted = None if to is None else _named(settings.models.dir, to)
    back = registry.rollback(wanted, serving=before.version if before else None)
    assert before is not None  # there was something to roll back
    told = _tell(settings, back, before.version)
    if as_json:
        options.print_json({**asdict(back), "rolled_back": before.version, "announced": told})
    else:
        print(f"{back.version} serves (epoch {back.epoch}); {before.version} is withdrawn for ever")


@models.command()
def prune(
    keep: Annotated[int, typer.Option("--keep", min=1, metavar="N", help="Newest versions that stay.")] = 10,
    directory: Directory = None,
    config: options.Config = None,
    as_json: options.Json = False,
) -> None:
    """Remove old versions. What serves, its parent, where a rollback goes, the anchor and 000001 stay.

    Exit status: 0 done, also when nothing was to be removed; 1 damaged; 2 usage.

    Example: hopstream models prune --keep 5
    """
    from model.registry import Registry

    registry = Registry(_settings(directory, config).models.dir)
    removed = list(registry.prune(keep))
    if as_json:
        options.print_json({"removed": removed, "kept": list(registry.list())})
    else:
        print(f"removed: {', '.join(removed) or 'nothing'}; {len(registry.list())} versions stay")


def _settings(directory: Path | None, config: Path | None, bootstrap: str | None = None) -> Settings:
    return options.settings_from(config, bootstrap, {"models": {"dir": directory}})


def _named(directory: Path, name: str | None) -> str:
    """ "2" means "000002", None what serves. Raises VersionMissing."""
    from model.errors import VersionMissing
    from model.registry import Registry

    if name is None:
        current = Registry(directory).current()
        if current is None:
            raise VersionMissing(f"({directory} holds none yet)")
        return current.version
    return name.zfill(6) if name.isdecimal() else name


def _tell(settings: Settings, back: Current, withdrawn: str) -> bool:
    """Announce the rollback where a broker answers; a sentence on standard error where none does."""
    from ops.broker import resolve_bootstrap
    from stream.admin import wait_for_broker
    from stream.announcing import announce, rolled_back
    from stream.errors import BrokerUnreachable
    from stream.topics import TopicNames

    try:
        address = resolve_bootstrap(settings)
        wait_for_broker(address, ANSWER_S)
        names = TopicNames(settings.kafka.prefix)
        told = announce(address, names, rolled_back(settings.models.dir, back, withdrawn))
    except BrokerUnreachable as error:
        print(f"rolled back, but not announced: {error}", file=sys.stderr)
        return False
    if not told:
        print("rolled back, but not announced: the models topic does not exist", file=sys.stderr)
    return told
