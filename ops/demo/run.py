"""The demo's phases: broker, data, warm start beside the loading of histories, replay, account.

Knows: their order and what each waits for. Does not know: how roles, replays or measurements work.

Every number at the end comes from the topics: record timestamps and offsets, not counters in the roles.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from model.registry import Registry
from ops.broker import HOST, running
from ops.demo.agreement import agreement
from ops.demo.background import Background
from ops.demo.ending import NeverSettled, judge, learn, settle
from ops.demo.ledger import balance
from ops.demo.live import live_line
from ops.demo.parts import Parts, divide
from ops.demo.quality import newest_report, told_quality
from ops.demo.report import figures, unexplained
from ops.demo.scraped import replay_shown, take_ports
from ops.demo.told import Told
from ops.demo.versions import told_versions
from ops.demo.waiting import Waiting
from ops.errors import FolderRefused, OpsError
from ops.lockstep import lockstep
from ops.pacing import Pacing, Unpaced
from ops.ports import free_port, is_free
from ops.replay import Progress, replay, send_items
from ops.supervisor import Supervisor, verb
from stream import admin
from stream.digest import list_digest
from stream.newest import newest_lists
from stream.observer import Observer
from stream.settings import Settings, load
from stream.topics import TopicNames

#: Files by which a demo knows a folder of its own, which it may empty; the second is that of older ones.
MARKS = (".hopstream-demo", "roles.log")
#: How long version 1 may take to answer everybody.
SERVES_S = 120.0


class NothingToReplay(OpsError):
    """After the warm part of this data set nothing is left to replay; choose a larger one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run."""

    dataset: Any  # ops.datasets.table.Dataset
    train_source: str  # what `hopstream train` is told: a name or a file
    pacing: Callable[[Any], Pacing]  # of the stream's events
    limit: int | None  # events to replay
    warm_s: int  # budget of the warm start
    seed: int
    folder: Path
    bootstrap: str  # "": start a broker
    lockstep: bool = False  # the next event waits for the last one's list; pacing says nothing then


def fresh_folder(folder: Path) -> None:
    """An empty run folder. Raises FolderRefused where a demo runs, or what is no demo's lies."""
    if folder.exists() and not folder.is_dir():
        raise FolderRefused(f"{folder} is a file; a demo needs a folder.")
    if running(folder / "kafka") is not None:
        raise FolderRefused(f"{folder} is in use by a running demo.")
    if folder.exists() and any(folder.iterdir()) and not any((folder / name).exists() for name in MARKS):
        raise FolderRefused(f"{folder} holds something that no demo wrote; it would be emptied.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARKS[0]).touch()


def run(plan: Plan, supervisor: Supervisor, told: Told) -> dict[str, Any]:
    """Run all phases; returns the figures. Raises the roles' and the broker's errors, StopAsked."""
    began_s = time.monotonic()
    # chosen once, so that a restarted broker is found where it was
    bootstrap = plan.bootstrap or f"{HOST}:{free_port(HOST)}"
    settings = _settings(plan, bootstrap)
    names = TopicNames(settings.kafka.prefix)
    address = _server(settings, supervisor, told.file)
    told.say(f"[page] watch, and be a user: {address} (the API: {address}/docs)")
    told.say(f"[metrics] {take_ports(settings)}")
    with told.phase("broker", "starting Apache Kafka" if not plan.bootstrap else f"using {plan.bootstrap}"):
        if not plan.bootstrap:
            port = bootstrap.rpartition(":")[2]
            supervisor.start(verb("broker", "--port", port, "--data-dir", str(plan.folder / "kafka")))
        admin.ensure_topics(settings.kafka.bootstrap, names, settings.kafka.partitions)
    told.say(f"[broker] look in from another terminal: hopstream --bootstrap {settings.kafka.bootstrap} …")
    parts = divide(plan.dataset.events, settings.events.negative, settings.events.neutral, plan.limit)
    if not len(parts.stream):
        raise NothingToReplay
    observer = Observer(settings.kafka.bootstrap, settings)
    waiting = Waiting(supervisor, observer, told)
    try:
        loaded = _prepare(plan, parts, settings, waiting)
        with (
            told.phase("replay", f"{len(parts.stream):,} events as clicks; every click changes a list"),
            replay_shown(settings, told.say) as show,
        ):
            line = _replay(plan, parts, settings, waiting, show)
            settle(waiting, line)
        with told.phase("learn", "the last clicks are judged and learned"):
            judge(waiting, settings)
            learn(waiting, settings, loaded, len(set(parts.history.user.tolist())))
            settle(waiting, line)
            judge(waiting, settings)
        told.show(line())
        observed = observer.summary() | told_quality(newest_report(settings.evaluator.data_dir))
        ledger = balance(settings.kafka.bootstrap, settings)
        lists = list_digest(newest_lists(settings.kafka.bootstrap, names))
        agreed = agreement(plan.dataset.events, parts, settings) if plan.lockstep else None
    finally:
        observer.close()
        told.stopped()
    told.seconds["total"] = time.monotonic() - began_s
    return figures(
        plan.dataset.name,
        observed,
        ledger,
        lists,
        told_versions(settings.models.dir, settings.trainer.data_dir),
        supervisor.restarts,
        supervisor.peak_memory_bytes,
        told.seconds,
        unexplained(observed, ledger, len(parts.stream), agreed),
        agreed,
    )


def _server(settings: Settings, supervisor: Supervisor, status_file: Path) -> str:
    """The server, at its port or, where somebody has that, at a free one; returns its address.

    It comes before the broker, so that its page shows the other phases.
    """
    host, port = settings.server.host, settings.server.port
    port = port if port and is_free(host, port) else free_port(host)
    supervisor.start(verb("server", "--port", str(port), "--status-file", str(status_file)))
    return f"http://{host}:{port}"


def _settings(plan: Plan, bootstrap: str) -> Settings:
    """What every role of this demo reads from its environment."""
    os.environ |= {f"HOPSTREAM_{name}": value for name, value in own_places(plan, bootstrap).items()}
    wanted = {
        "SESSIONS__GAP_MS": f"{plan.dataset.gap_ms}ms",
        "SCORER__FILTER_SEEN": str(plan.dataset.filter_seen).lower(),
        "SCORER__RESCORE_USERS": "20000",  # whoever clicked before version 1 gets a list of it
        "EVALUATOR__REPORT_MS": "1s",
    }
    if plan.lockstep:  # nobody waits for company, and every list is judged
        wanted |= {"WORKER__LINGER_MS": "0", "SCORER__MAX_WAIT_MS": "0", "WORKER__SAMPLE_SHARE": "1"}
    for name, value in wanted.items():
        os.environ.setdefault(f"HOPSTREAM_{name}", value)  # the user's own settings win
    return load()


def own_places(plan: Plan, bootstrap: str) -> dict[str, str]:
    """Where this demo writes, whatever is configured: no registry, state or topic of anybody else's."""
    places = {f"{role}__DATA_DIR": role.lower() for role in ("WORKER", "SCORER", "EVALUATOR", "TRAINER")}
    return {
        "KAFKA__BOOTSTRAP": bootstrap,
        "KAFKA__PREFIX": "hopstream." if not plan.bootstrap else f"demo-{os.getpid()}-{int(time.time())}.",
        "MODELS__DIR": str(plan.folder / "models"),
        **{name: str(plan.folder / place) for name, place in places.items()},
    }


def _prepare(plan: Plan, parts: Parts, settings: Settings, waiting: Waiting) -> dict[int, int]:
    """Worker and scorer up, histories loaded, version 1 trained and serving; returns where the events topic
    ends with the histories."""
    bootstrap, names = settings.kafka.bootstrap, TopicNames(settings.kafka.prefix)
    supervisor, observer, told = waiting.supervisor, waiting.observer, waiting.told
    with told.phase("data", f"{len(parts.history):,} events of returning users become their histories"):
        supervisor.start(verb("worker"))
        supervisor.start(verb("scorer"))
        supervisor.start(verb("evaluator"))
        loading = Background(lambda: _load(plan, parts, bootstrap, names))
        waiting.until(lambda: loading.done)
        loading.result()
    loaded = admin.end_offsets(bootstrap, names.events)
    with told.phase("warm start", f"Fuxi-MME learns from the first {parts.num_warm:,} clicks"):
        budget = ["--part", "warm", "--budget", f"{plan.warm_s}s", "--seed", str(plan.seed)]
        supervisor.start(
            verb("train", plan.train_source, *budget, waits_ready=False, restarts=False, stop_s=5.0)
        )
        trained = waiting.until(lambda: supervisor.ended("train"))
        assert trained
        wanted = min(observer.account.num_users, settings.scorer.rescore_users)
        if not waiting.until(lambda: _serves(observer, settings, wanted), SERVES_S):
            raise NeverSettled(f"(version 1 made {_num_by_version(observer)} of {wanted} lists)")
    supervisor.start(verb("trainer"))
    observer.begin()
    return loaded


def _load(plan: Plan, parts: Parts, bootstrap: str, names: TopicNames) -> None:
    send_items(plan.dataset.items(), bootstrap, names)
    replay(parts.history, bootstrap, names, Unpaced(len(parts.history)), backfill=True)


def _replay(
    plan: Plan, parts: Parts, settings: Settings, waiting: Waiting, show: Callable[[Progress], None]
) -> Callable[[], str]:
    """Send the stream; returns what makes the live line."""
    state: dict[str, Progress] = {}
    names = TopicNames(settings.kafka.prefix)

    def progress(at: Progress) -> None:
        state["now"] = at
        waiting.told.sent(at)
        show(at)

    def line() -> str:
        return live_line(waiting.observer, settings, state)

    send = lockstep if plan.lockstep else partial(replay, pacing=plan.pacing(parts.stream))
    sending = Background(
        lambda: send(
            parts.stream,
            settings.kafka.bootstrap,
            names,
            progress=progress,
            stop=lambda: sending.asked_to_stop,
        )
    )
    try:
        waiting.until(lambda: sending.done, line=line)
    except BaseException:
        sending.stop()
        raise
    sending.result()
    return line


def _serves(observer: Observer, settings: Settings, wanted: int) -> bool:
    current = Registry(settings.models.dir).current()
    return (
        current is not None and _num_by_version(observer) >= wanted and observer.account.incomplete_users == 0
    )


def _num_by_version(observer: Observer) -> int:
    return sum(num for version, num in observer.account.models.items() if version)
