"""Configuration from a file, the environment and options; unknown keys are errors with a suggestion."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.errors import SettingsInvalid
from stream.settings import known_keys, load


def test_later_sources_win(tmp_path: Path) -> None:
    """Options over environment over file over defaults."""
    file = tmp_path / "h.toml"
    file.write_text('[kafka]\npartitions = 2\nprefix = "file."\n[sessions]\ngap_ms = "10m"\n')
    settings = load(
        file, {"scorer": {"top_n": 7}}, {"HOPSTREAM_KAFKA__PREFIX": "env.", "HOPSTREAM_SCORER__TOP_N": "9"}
    )

    assert settings.kafka.partitions == 2
    assert settings.kafka.prefix == "env."
    assert settings.sessions.gap_ms == 600_000
    assert settings.scorer.top_n == 7


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[kafka]\npartition = 2\n", "kafka.partitions"),
        ("[sesions]\ngap_ms = 1\n", "sessions"),
        ("[sessions]\ngap_ms = 'soon'\n", "30m"),
        ("[kafka]\npartitions = 0\n", "kafka.partitions"),
        ("partitions = 3\n", "section"),
        ("[kafka\n", "TOML"),
        ('[kafka]\nprefix = "my topics/"\n', r"kafka\.prefix"),
        ('[kafka]\nbootstrap = "localhost"\n', r"kafka\.bootstrap"),
        ('[trainer]\nevery = "0"\n', r"trainer\.every"),
        ('[trainer]\nevery = "0.0s"\n', r"trainer\.every"),
        ('[server]\nwait_ms = "20s"\n', "shorter than timeout_ms"),
    ],
)
def test_a_mistake_names_the_key_and_the_way_out(tmp_path: Path, text: str, hint: str) -> None:
    """What is wrong, where, and what was probably meant."""
    file = tmp_path / "h.toml"
    file.write_text(text)

    with pytest.raises(SettingsInvalid, match=hint):
        load(file, environment={})


def test_an_unknown_environment_variable_is_an_error() -> None:
    """A typing error in the environment does not pass in silence."""
    with pytest.raises(SettingsInvalid, match=r"kafka\.bootstrap"):
        load(environment={"HOPSTREAM_KAFKA__BOOTSTRP": "x:1"})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The path stands in the message."""
    with pytest.raises(SettingsInvalid, match="nowhere"):
        load(tmp_path / "nowhere.toml", environment={})


@pytest.mark.parametrize(
    "bootstrap", ["", "localhost:9092", "a.b:1,c-d:2", "[::1]:9092", "kafka:9092,127.0.0.1:9093"]
)
def test_addresses_of_brokers_are_taken(bootstrap: str) -> None:
    """One, several, by name or number."""
    assert load(overrides={"kafka": {"bootstrap": bootstrap}}, environment={}).kafka.bootstrap == bootstrap


@pytest.mark.parametrize("every", ["1", "2000", "10m", "0.5s", "10 m", "1.50h", "100ms"])
def test_lengths_of_cycles_are_taken(every: str) -> None:
    """Events, or time with its unit."""
    assert load(overrides={"trainer": {"every": every}}, environment={}).trainer.every == every


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """And what may not be read neither: the reason stands in the message."""
    with pytest.raises(SettingsInvalid, match="cannot be read: Is a directory"):
        load(tmp_path, environment={})


def test_lists_come_from_the_environment_separated_by_commas() -> None:
    """The same key in both worlds."""
    assert load(environment={"HOPSTREAM_EVENTS__NEGATIVE": "skip, hate,"}).events.negative == ("skip", "hate")


def test_every_key_has_a_section() -> None:
    """Keys are named section.key throughout."""
    assert all(key.count(".") == 1 for key in known_keys())
