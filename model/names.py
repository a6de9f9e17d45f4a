"""Ids, numbers of generators and plain records as arrays, so that a snapshot is arrays and nothing else.

Knows: UTF-8, JSON. Does not know: what the ids name, files.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[np.generic]]


def pack_names(name: str, ids: Sequence[str]) -> Arrays:
    """Two arrays, ``name``.bytes and ``name``.lengths; any id, the empty one too."""
    raw = [one.encode() for one in ids]
    return {
        f"{name}.bytes": np.frombuffer(b"".join(raw), np.uint8).copy(),
        f"{name}.lengths": np.array([len(one) for one in raw], np.int64),
    }


def unpack_names(name: str, arrays: Arrays) -> list[str]:
    """The ids again; raises KeyError when the arrays are not there."""
    raw = arrays[f"{name}.bytes"].tobytes()
    ends = np.cumsum(np.asarray(arrays[f"{name}.lengths"], np.int64)).tolist()
    return [raw[start:end].decode() for start, end in zip([0, *ends], ends, strict=False)]


def nameless(names_E: Iterable[str], users: Collection[str]) -> npt.NDArray[Any]:
    """(E,) the same with these users' names erased: each is a number behind a NUL, which no id holds, so that
    who was one user still is."""
    names = list(names_E)
    taken = len({name for name in names if name.startswith("\0")})
    erased = [name for name in dict.fromkeys(names) if name in users]
    numbers = {name: f"\0{number}" for number, name in enumerate(erased, taken)}
    return np.array([numbers.get(name, name) for name in names])


def pack_record(record: Any) -> npt.NDArray[np.uint8]:
    """A JSON value as bytes; whole numbers of any size survive."""
    return np.frombuffer(json.dumps(record, sort_keys=True).encode(), np.uint8).copy()


def unpack_record(array: npt.NDArray[np.generic]) -> Any:
    return json.loads(array.tobytes())


def under(prefix: str, arrays: Arrays) -> Arrays:
    """The same arrays with names behind a prefix."""
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def inside(prefix: str, arrays: Arrays) -> Arrays:
    """Those behind the prefix, without it."""
    start = f"{prefix}."
    return {name[len(start) :]: array for name, array in arrays.items() if name.startswith(start)}
