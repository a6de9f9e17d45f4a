"""Tell on the models topic which version serves now, and which one was withdrawn.

Knows: what an announcement says of a version, that it counts once the broker has it.
Does not know: why a version serves. The registry's files are the truth; who reads the topic is only told.

One key per model, compacted: what stays is the newest announcement, and that is of what serves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from kafka.errors import KafkaError

from model.errors import VersionDamaged
from model.registry import Current, Registry
from model.store import MANIFEST, MODEL_NAME
from stream import admin, clients
from stream.errors import BrokerUnreachable
from stream.records import Announcement, encode_announcement
from stream.topics import TopicNames

#: How long the broker may take to keep an announcement.
CONFIRM_S = 10.0


def published(directory: Path, current: Current) -> list[Announcement]:
    """What to tell after a publication. Raises VersionMissing, VersionDamaged."""
    return [_of(directory, current.version, current.epoch)]


def rolled_back(directory: Path, current: Current, withdrawn: str) -> list[Announcement]:
    """What to tell after a rollback: what is gone, then what serves. Raises VersionMissing, VersionDamaged
    for what serves; a withdrawn version may be damaged or gone."""
    try:
        gone = _of(directory, withdrawn, current.epoch, withdrawn=True)
    except (VersionDamaged, OSError):
        gone = Announcement(
            model=MODEL_NAME, version=withdrawn, epoch=current.epoch, manifest="", withdrawn=True
        )
    return [gone, *published(directory, current)]


def announce(bootstrap: str, names: TopicNames, announcements: Sequence[Announcement]) -> bool:
    """Send them in order and wait until the broker has each; False where the topic does not exist, so that
    nobody can listen. Raises BrokerUnreachable."""
    if names.models not in admin.existing(bootstrap, [names.models]):
        return False
    producer = clients.producer(bootstrap, linger_ms=0)
    try:
        for one in announcements:  # one after the other: a repeated first may not pass the second
            sent = producer.send(names.models, key=one.model.encode(), value=encode_announcement(one))
            sent.get(timeout=CONFIRM_S)
    except KafkaError as error:
        raise BrokerUnreachable(f"{names.models} did not take an announcement: {error}.") from error
    finally:
        producer.close(timeout=CONFIRM_S)
    return True


def _of(directory: Path, version: str, epoch: int, *, withdrawn: bool = False) -> Announcement:
    manifest = Registry(directory).manifest(version)
    return Announcement(
        model=manifest["name"],
        version=version,
        epoch=epoch,
        parent=manifest["parent"],
        manifest=hashlib.sha256((directory / version / MANIFEST).read_bytes()).hexdigest(),
        gate=manifest["gate"],
        withdrawn=withdrawn,
    )
