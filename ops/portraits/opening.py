"""Which version is looked at, and what its items are called.

Knows: the registry, the items topic, data sets. Does not know: what is told of a version.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from model.errors import VersionMissing
from model.registry import Registry
from model.version import Version
from ops.broker import resolve_bootstrap
from ops.datasets import Dataset, open_dataset
from ops.titles import titles_of
from stream.admin import wait_for_broker
from stream.errors import BrokerUnreachable
from stream.topics import TopicNames

if TYPE_CHECKING:
    from stream.settings import Settings

#: How long a broker may take to answer: titles are nice to have.
ANSWER_S = 1.0


def opened(directory: Path, name: str | None) -> Version:
    """A published version, checked; "2" means "000002", None the one that serves.

    Raises VersionMissing, VersionDamaged, CatalogueMismatch.
    """
    registry = Registry(directory)
    current = registry.current()
    if current is None:
        raise VersionMissing(f"({directory} holds none yet)")
    if name is None:
        name = current.version
    return registry.load(name.zfill(6) if name.isdecimal() else name)


@dataclass(frozen=True, slots=True)
class Titles:
    """What items are called, and why some are not."""

    of: dict[str, str]
    note: str  # a sentence where nothing could be looked up or found, else empty


def dataset_of(settings: Settings, name: str) -> Dataset:
    """A data set that is on this machine; it is never downloaded for a look. Raises DatasetMissing."""
    return open_dataset(name, data_dir=settings.data.dir, cache_dir=settings.data.cache, download=False)


def titles(settings: Settings, dataset: str | None, items: Collection[str]) -> Titles:
    """Titles of these items: from the data set if one is named, else from the items topic.

    A broker that does not answer costs a sentence and no more. Raises DatasetMissing, DatasetUnreadable.
    """
    if dataset is not None:
        wanted = set(items)
        known = dataset_of(settings, dataset).items()
        found = {item.item: item.title for item in known if item.item in wanted and item.title}
        return Titles(found, "" if found else f"no titles: {dataset} has none for these items")
    address = resolve_bootstrap(settings)
    names = TopicNames(settings.kafka.prefix)
    advice = "name the data set with --dataset"
    try:
        wait_for_broker(address, ANSWER_S)
        found = titles_of(address, names, items)
    except BrokerUnreachable:
        return Titles({}, f"no titles: no broker answers at {address}; start one, or {advice}")
    missing = f"no titles: {names.items} has none for these items; replay their data set, or {advice}"
    return Titles(found, "" if found else missing)
