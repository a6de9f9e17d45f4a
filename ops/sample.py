"""The sample settings file, written from the settings themselves.

Knows: names, defaults and descriptions of settings, and TOML. Does not know: what settings do.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from stream.settings import Settings

_UNITS_MS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000))
_HEAD = """\
# Every setting of Hopstream at its default. Copy to hopstream.toml and keep what you change.
# The environment wins over this file (HOPSTREAM_WORKER__LINGER_MS=20), options win over both.
# Written by `hopstream config sample`; a test holds it to the code.
"""


def sample() -> str:
    """The text of hopstream.sample.toml."""
    parts = [_HEAD]
    for section, info in Settings.model_fields.items():
        lines = [f"[{section}]"]
        for key, field in info.annotation.model_fields.items():  # type: ignore[union-attr]  # a section is a model
            note = f"  # {field.description}" if field.description else ""
            default = field.get_default()
            if default is None:
                lines.append(f"# {key} =  # not set{note.replace('  # ', ': ')}")
            else:
                lines.append(f"{key} = {toml_value(default, is_duration(field))}{note}")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def is_duration(field: FieldInfo) -> bool:
    """Whether a setting takes "30m" as well as milliseconds."""
    return any(type(part).__name__ == "BeforeValidator" for part in field.metadata)


def toml_value(value: Any, duration: bool = False) -> str:
    """A setting's value as TOML writes it; durations in their largest whole unit."""
    if duration:
        for unit, unit_ms in _UNITS_MS:
            if value and value % unit_ms == 0:
                return f'"{value // unit_ms}{unit}"'
        return f'"{value}ms"'
    if isinstance(value, tuple):
        return "[" + ", ".join(toml_value(part) for part in value) + "]"
    if isinstance(value, str | Path):
        return json.dumps(str(value))  # a JSON string is a TOML basic string
    return json.dumps(value)
