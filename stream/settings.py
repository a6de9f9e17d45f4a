"""All settings: one TOML file, then the environment (`HOPSTREAM_SECTION__KEY`), then command-line options.

Knows: names, units, defaults and limits. Read once per process, by `load`.
Does not know: what the roles do with them.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from stream.errors import SettingsInvalid

ENV_PREFIX = "HOPSTREAM_"
#: Environment variables of ours that are not settings keys: where data lies, which file to read, the server's
#: secret (which `config show` must not print).
ENV_OTHERS = frozenset({"HOPSTREAM_DATA", "HOPSTREAM_CONFIG", "HOPSTREAM_TOKEN"})

_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def duration_ms(value: Any) -> Any:
    """Milliseconds from "500ms", "30s", "30m", "2h", "1d"; the validator refuses anything else."""
    if isinstance(value, str):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)", value.strip())
        if not match:
            raise ValueError('a duration is a number and a unit, like "30m" (units: ms, s, m, h, d)')
        return int(float(match[1]) * _UNITS_MS[match[2]])
    return value


DurationMs = Annotated[int, BeforeValidator(duration_ms)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KafkaSettings(_Section):
    bootstrap: str = Field(
        "",
        pattern=r"^$|^[^,:\s]+:\d+(,[^,:\s]+:\d+)*$|^\[[0-9a-fA-F:]+\]:\d+$",
        description="host:port of a broker; empty: the one that `hopstream broker` started",
    )
    prefix: str = Field(
        "hopstream.", pattern=r"^[A-Za-z0-9._-]{0,100}$", description="put before every topic name"
    )
    partitions: int = Field(4, ge=1, le=1024, description="partitions of every topic keyed by user")


class EventSettings(_Section):
    negative: tuple[str, ...] = Field(("dislike", "skip"), description="types that say no")
    neutral: tuple[str, ...] = Field(
        ("impression",), description="types that say nothing; all others are positive"
    )


class SessionSettings(_Section):
    gap_ms: DurationMs = Field(30 * 60_000, ge=1, description="silence that closes a session")
    max_events: int = Field(32, ge=1, le=32, description="events that close a session")


class HistorySettings(_Section):
    keep_events: int = Field(
        512, ge=264, le=4096, description="events kept per user, whole sessions at a time"
    )


class WorkerSettings(_Section):
    data_dir: Path = Field(Path(".hopstream/worker"), description="RocksDB state, one directory per worker")
    linger_ms: int = Field(5, ge=0, le=1000, description="Kafka producer linger: throughput against latency")
    session_timeout_ms: DurationMs = Field(
        10_000, ge=3000, description="Kafka declares a silent worker dead after this"
    )
    max_unacknowledged: int = Field(2000, ge=1, description="events in flight before the worker waits")
    cached_users: int = Field(20_000, ge=1, description="decoded user states kept in memory")
    stall_ms: DurationMs = Field(
        60_000, ge=5000, description="watchdog: no progress with lag for this long ends the process"
    )
    sample_share: float = Field(1.0, ge=0, le=1, description="share of users whose every list is judged")


class ScorerSettings(_Section):
    device: str = Field("auto", pattern="^(auto|cpu|cuda)$")
    threads: int = Field(1, ge=1, description="CPU threads of torch")
    max_batch: int = Field(256, ge=1, description="requests answered in one turn")
    max_wait_ms: int = Field(5, ge=0, description="the oldest request waits at most this long for company")
    cache_mb: int = Field(256, ge=1, description="bytes of the prefix cache")
    top_n: int = Field(50, ge=1, le=1000, description="items per list")
    filter_seen: bool = Field(True, description="leave out what the user already has")
    session_timeout_ms: DurationMs = Field(10_000, ge=3000)
    rescore_users: int = Field(
        2000, ge=0, description="recently active users scored again after a new version"
    )
    data_dir: Path = Field(Path(".hopstream/scorer"), description="what each scorer has learned from events")
    snapshot_ms: DurationMs = Field(60_000, ge=1000, description="how often that is written down")
    memory_items: int = Field(
        100_000, ge=1000, description="items that the fast memory keeps neighbours of, 2 KB each"
    )
    row_worth: float = Field(
        1.0, gt=0, le=100, description="places that a new item's row may take, times its share of clicks"
    )


class ServerSettings(_Section):
    host: str = Field("127.0.0.1", description="address to listen at; 0.0.0.0: all of them")
    port: int = Field(8080, ge=0, le=65535, description="0 takes a free one")
    token_file: Path | None = Field(
        None, description="bearer token asked of whoever changes something; or $HOPSTREAM_TOKEN"
    )
    view_mb: int = Field(256, ge=1, description="newest lists and states kept in memory, half of it each")
    max_items: int = Field(1_000_000, ge=1, description="items whose titles are kept in memory")
    max_events: int = Field(1000, ge=1, le=100_000, description="events in one request")
    max_body_kb: int = Field(1024, ge=1, description="bytes of one request")
    requests_per_s: int = Field(5000, ge=1, description="of one client address, a second's worth at once")
    timeout_ms: DurationMs = Field(10_000, ge=100, description="longest time for one answer")
    wait_ms: DurationMs = Field(2000, ge=0, description="a list that knows min_offset is waited for so long")

    @model_validator(mode="after")
    def _waits_within_an_answer(self) -> Self:
        if self.wait_ms >= self.timeout_ms:
            raise ValueError("wait_ms must be shorter than timeout_ms, or every wait ends in a 503")
        return self


class RuleSettings(_Section):
    hide: tuple[str, ...] = Field((), description="never shown: item:ID or category:NAME")
    boost: tuple[str, ...] = Field((), description="added to scores: item:ID=0.1 or category:NAME=-0.1")
    cap_per_category: int = Field(0, ge=0, description="items of one category in a list; 0: no cap")


class EvaluatorSettings(_Section):
    data_dir: Path = Field(Path(".hopstream/evaluator"), description="snapshot and report.json")
    window: int = Field(10_000, ge=1, le=1_000_000, description="judged events of the sliding window")
    report_ms: DurationMs = Field(5000, ge=100, description="how often the report is written, at most")


class MetricsSettings(_Section):
    host: str = Field("127.0.0.1", description="address of every role's metrics; 0.0.0.0: all of them")
    worker_port: int = Field(
        9101, ge=0, le=65535, description="taken: a free one, which the log names; 0: off"
    )
    scorer_port: int = Field(9102, ge=0, le=65535)
    evaluator_port: int = Field(9103, ge=0, le=65535)
    trainer_port: int = Field(9104, ge=0, le=65535)
    replay_port: int = Field(9105, ge=0, le=65535)


class TrainerSettings(_Section):
    data_dir: Path = Field(Path(".hopstream/trainer"), description="snapshot, plan and report.json")
    every: str = Field(
        "2000",
        pattern=r"^0*[1-9]\d*(\.\d+)?\s*(ms|s|m|h|d)?$|^0*\.0*[1-9]\d*\s*(ms|s|m|h|d)$",
        description="a cycle: so many events, or time like 10m",
    )
    clock: str = Field(
        "event", pattern="^(event|wall)$", description="which time that is: the events' own, or ours"
    )
    threads: int = Field(1, ge=1, description="CPU threads of torch")
    nice: int = Field(10, ge=0, le=19, description="how far the trainer steps back behind other processes")
    keep_versions: int = Field(10, ge=1, description="newest versions that stay after a publication")


class ModelSettings(_Section):
    dir: Path = Field(Path(".hopstream/models"), description="published versions")


class BrokerSettings(_Section):
    data_dir: Path = Field(Path(".hopstream/kafka"), description="the embedded broker's log")
    port: int = Field(9092, ge=0, le=65535, description="0 takes a free one")
    heap_mb: int = Field(256, ge=128, description="Java heap")


class DataSettings(_Section):
    dir: Path | None = Field(None, description="looked in first for data sets")
    cache: Path = Field(Path("~/.cache/hopstream"), description="downloads")


class Settings(_Section):
    """Everything that can be configured."""

    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    events: EventSettings = EventSettings()
    sessions: SessionSettings = SessionSettings()
    history: HistorySettings = HistorySettings()
    worker: WorkerSettings = WorkerSettings()
    scorer: ScorerSettings = ScorerSettings()
    server: ServerSettings = ServerSettings()
    rules: RuleSettings = RuleSettings()
    evaluator: EvaluatorSettings = EvaluatorSettings()
    trainer: TrainerSettings = TrainerSettings()
    metrics: MetricsSettings = MetricsSettings()
    models: ModelSettings = ModelSettings()
    broker: BrokerSettings = BrokerSettings()
    data: DataSettings = DataSettings()


def load(
    file: Path | None = None,
    overrides: dict[str, dict[str, Any]] | None = None,
    environment: dict[str, str] | None = None,
) -> Settings:
    """Settings from a TOML file, the environment and overrides, the later ones winning.

    ``file`` None: `$HOPSTREAM_CONFIG`, else `hopstream.toml` in the working directory if it exists.
    Raises SettingsInvalid, which names the key, where it came from and the nearest known key.
    """
    env = dict(os.environ) if environment is None else environment
    path = file or (Path(env["HOPSTREAM_CONFIG"]) if env.get("HOPSTREAM_CONFIG") else None)
    if path is None and Path("hopstream.toml").exists():
        path = Path("hopstream.toml")
    fields = _from_file(path) if path else {}
    _merge(fields, _from_environment(env))
    _merge(fields, overrides or {})
    try:
        return Settings.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise SettingsInvalid(_unknown(where)) from None
        raise SettingsInvalid(f"{where}: {first['msg']} (got {first['input']!r}).") from None


def known_keys() -> list[str]:
    """Every key as "section.key"."""
    return [
        f"{section}.{key}"
        for section, info in Settings.model_fields.items()
        for key in info.annotation.model_fields  # type: ignore[union-attr]
    ]


def _from_file(path: Path) -> dict[str, Any]:
    try:
        fields = tomllib.loads(path.expanduser().read_text())
    except FileNotFoundError:
        raise SettingsInvalid(f"There is no file {path}.") from None
    except OSError as error:
        raise SettingsInvalid(f"{path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f"{path} is not TOML: {error}.") from None
    for section, keys in fields.items():
        if not isinstance(keys, dict):
            raise SettingsInvalid(f"{path}: {section!r} stands outside a [section].")
    return fields


def _from_environment(env: dict[str, str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in sorted(env.items()):
        if not name.startswith(ENV_PREFIX) or name in ENV_OTHERS:
            continue
        section, _, key = name.removeprefix(ENV_PREFIX).lower().partition("__")
        if f"{section}.{key}" not in known_keys():
            raise SettingsInvalid(
                f"Environment variable {name}: {_unknown(f'{section}.{key}' if key else section)}"
            )
        annotation = Settings.model_fields[section].annotation.model_fields[key].annotation  # type: ignore[union-attr]
        parsed: Any = _parts(value) if annotation == tuple[str, ...] else value
        fields.setdefault(section, {})[key] = parsed
    return fields


def _parts(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    for section, keys in more.items():
        into[section] = {**into.get(section, {}), **keys}


def _unknown(key: str) -> str:
    near = difflib.get_close_matches(key, [*known_keys(), *Settings.model_fields], n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"unknown key {key!r}.{hint}"
