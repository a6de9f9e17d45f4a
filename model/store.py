"""The files of one version: written with their digests, read back and held to them.

Knows: file names, formats, the manifest and what it vouches for.
Does not know: which version serves, other versions, torch.

The manifest is canonical JSON that carries its own digest; every other file's sha256 stands in it, and the
weights repeat the catalogue's digest, so that no file can be swapped for another version's.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from model.catalogue import Catalogue
from model.config import ModelConfig, MoSConfig
from model.errors import CatalogueMismatch, VersionDamaged
from model.themes import ThemeTable
from model.version import Arrays, MoSWeights, Trained, Version, check_fit, check_mos

MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
CATALOGUE = "catalogue.json"
INDEX = "index.npy"
THEMES = "themes.npy"
THEME_LABELS = "themes.json"
POPULARITY = "popularity.npy"
CURVE = "learning_curve.json"
FILES = (WEIGHTS, CATALOGUE, INDEX, THEMES, THEME_LABELS, POPULARITY, CURVE)
#: Beside them where the version reads by themes of its own.
MOS = "mos.safetensors"
#: And where it brings the fast memory of its events; versions from before have none.
MEMORY = "memory.safetensors"

MODEL_NAME = "fuxi-mme"
#: Raised when files of this layout change their meaning; a reader refuses what it does not know.
FORMAT = 3
#: Also read: as FORMAT, without MoS.
READ = (2, FORMAT)


def write(directory: Path, trained: Trained) -> dict[str, str]:
    """Write every file but the manifest; returns their sha256 by name."""
    names = FILES if trained.mos is None else (*FILES, MOS)
    if trained.memory is not None:
        names = (*names, MEMORY)
        _write_weights(directory / MEMORY, trained.memory, trained.catalogue)
    _write_weights(directory / WEIGHTS, trained.weights, trained.catalogue)
    if trained.mos is not None:
        _write_weights(directory / MOS, trained.mos.weights, trained.catalogue)
    _write_json(directory / CATALOGUE, trained.catalogue.items)
    np.save(directory / INDEX, np.ascontiguousarray(trained.index, np.float32))
    np.save(directory / THEMES, np.ascontiguousarray(trained.themes.logits_IK, np.float32))
    _write_json(directory / THEME_LABELS, trained.themes.labels)
    np.save(directory / POPULARITY, np.ascontiguousarray(trained.popularity, np.int64))
    _write_json(directory / CURVE, trained.learning_curve)
    return {name: _digest(directory / name) for name in names}


def write_manifest(directory: Path, trained: Trained, version: str, digests: dict[str, str]) -> None:
    """Write the manifest last: a directory without one is no version."""
    manifest = {
        "format": FORMAT,
        "name": MODEL_NAME,
        "version": version,
        "parent": trained.parent,
        "config": trained.config.to_json(),
        "train_config": trained.train_config.to_json(),
        "mos": trained.mos and trained.mos.config.to_json(),
        "catalogue": {"items": len(trained.catalogue), "digest": trained.catalogue.digest()},
        "events": trained.num_events,
        "data_digest": trained.data_digest,
        "seed": trained.train_config.seed,
        "metrics": trained.metrics,
        "gate": trained.gate,
        "offsets": trained.offsets.to_json() if trained.offsets else None,
        "code": code_version(),
        "files": digests,
    }
    (directory / MANIFEST).write_bytes(_canonical(manifest))


def code_version() -> str:
    """The installed package's version."""
    from importlib.metadata import version

    return version("hopstream")


def sync(directory: Path) -> None:
    """Wait until the files of a directory, and their names, are on disk."""
    for path in (*(entry for entry in directory.iterdir() if entry.is_file()), directory):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read(directory: Path, name: str | None = None) -> Version:
    """Read and check a version; its epoch is 0. Raises VersionDamaged, CatalogueMismatch.

    ``name``: where it differs from the directory's, as before a publication.
    """
    manifest = read_manifest(directory, name)
    _check_files(directory, manifest, (*FILES, MEMORY) if MEMORY in manifest["files"] else FILES)
    catalogue = _read_catalogue(directory, manifest)
    weights = _read_weights(directory, WEIGHTS, catalogue)
    with _refusing(directory, MANIFEST):
        config = ModelConfig.from_json(manifest["config"])
    with _refusing(directory, INDEX):
        index = np.load(directory / INDEX, mmap_mode="c")
    with _refusing(directory, POPULARITY):
        popularity = np.load(directory / POPULARITY)
    check_fit(directory.name, config, catalogue, weights, index, popularity)
    themes = _read_themes(directory, catalogue)
    mos = _read_mos(directory, manifest, catalogue)
    if mos is not None:
        check_mos(directory.name, config, themes, mos)
    return Version(
        name=name or directory.name,
        epoch=0,
        manifest=manifest,
        config=config,
        catalogue=catalogue,
        weights=weights,
        index=index,
        themes=themes,
        popularity=popularity,
        learning_curve=_read_json(directory, CURVE),
        mos=mos,
    )


def read_themes(directory: Path) -> ThemeTable:
    """Only the theme table, checked; raises VersionDamaged."""
    manifest = read_manifest(directory)
    _check_files(directory, manifest, (CATALOGUE, THEMES, THEME_LABELS))
    return _read_themes(directory, _read_catalogue(directory, manifest))


def read_memory(directory: Path) -> Arrays | None:
    """Only the fast memory, None where the version brings none; raises VersionDamaged, CatalogueMismatch."""
    manifest = read_manifest(directory)
    if MEMORY not in manifest["files"]:
        return None
    _check_files(directory, manifest, (CATALOGUE, MEMORY))
    return _read_weights(directory, MEMORY, _read_catalogue(directory, manifest))


def read_manifest(directory: Path, name: str | None = None) -> dict[str, Any]:
    """Raises VersionDamaged unless the manifest is, byte for byte, what its own digest says."""
    with _refusing(directory, MANIFEST):
        raw = (directory / MANIFEST).read_bytes()
        manifest: dict[str, Any] = json.loads(raw)
        same = _canonical({key: value for key, value in manifest.items() if key != "digest"}) == raw
    if not same or manifest["version"] != (name or directory.name):
        raise VersionDamaged(f"{directory.name}/{MANIFEST} is not the one that was published.")
    if manifest["format"] not in READ:
        read = " and ".join(str(known) for known in READ)
        raise VersionDamaged(f"{directory.name}/{MANIFEST}: format {manifest['format']}, this reads {read}.")
    return manifest


def _check_files(directory: Path, manifest: dict[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        with _refusing(directory, name):
            same = _digest(directory / name) == manifest["files"][name]
        if not same:
            raise VersionDamaged(f"{directory.name}/{name}: its sha256 is not the manifest's.")


def _read_catalogue(directory: Path, manifest: dict[str, Any]) -> Catalogue:
    with _refusing(directory, CATALOGUE):
        catalogue = Catalogue(_read_json(directory, CATALOGUE))
    if catalogue.digest() != manifest["catalogue"]["digest"]:
        raise CatalogueMismatch(f"{directory.name}/{CATALOGUE} is not the one its manifest names.")
    return catalogue


def _write_weights(path: Path, weights: Mapping[str, npt.NDArray[Any]], catalogue: Catalogue) -> None:
    save_file(
        {name: np.ascontiguousarray(array) for name, array in weights.items()},
        path,
        metadata={"catalogue": catalogue.digest()},
    )
    path.chmod(0o644)  # safetensors writes for its owner only; a scorer may be another user


def _read_weights(directory: Path, name: str, catalogue: Catalogue) -> dict[str, npt.NDArray[Any]]:
    """Weights that say they were trained for this catalogue."""
    with _refusing(directory, name), safe_open(directory / name, framework="numpy") as file:
        weights = {weight: file.get_tensor(weight) for weight in file.keys()}  # noqa: SIM118  (no mapping)
        trained_for = (file.metadata() or {}).get("catalogue")
    if trained_for != catalogue.digest():
        raise CatalogueMismatch(f"{directory.name}: {name} and {CATALOGUE} carry different digests.")
    return weights


def _read_mos(directory: Path, manifest: dict[str, Any], catalogue: Catalogue) -> MoSWeights | None:
    """None for a version without; raises VersionDamaged, CatalogueMismatch."""
    told = manifest.get("mos")
    if told is None:
        return None
    _check_files(directory, manifest, (MOS,))
    with _refusing(directory, MANIFEST):
        config = MoSConfig.from_json(told)
    return MoSWeights(config=config, weights=_read_weights(directory, MOS, catalogue))


def _read_themes(directory: Path, catalogue: Catalogue) -> ThemeTable:
    with _refusing(directory, THEMES):
        logits_IK = np.load(directory / THEMES)
        table = ThemeTable(catalogue, logits_IK, _read_json(directory, THEME_LABELS))
    if not np.isfinite(logits_IK).all():
        raise VersionDamaged(f"{directory.name}/{THEMES} holds values that are no numbers.")
    return table


def _read_json(directory: Path, name: str) -> Any:
    with _refusing(directory, name):
        return json.loads((directory / name).read_bytes())


def _write_json(path: Path, value: Any) -> None:
    path.write_bytes(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def _canonical(manifest: dict[str, Any]) -> bytes:
    """The manifest with its own digest, in the one form that is accepted."""
    plain = json.dumps(manifest, sort_keys=True)
    signed = {**manifest, "digest": hashlib.sha256(plain.encode()).hexdigest()}
    return (json.dumps(signed, sort_keys=True, indent=1) + "\n").encode()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _refusing(directory: Path, name: str) -> Iterator[None]:
    """Whatever a missing or broken file raises becomes VersionDamaged, which names the file."""
    try:
        yield
    except (OSError, EOFError, ValueError, TypeError, KeyError, AttributeError, SafetensorError) as error:
        raise VersionDamaged(f"{directory.name}/{name}: {type(error).__name__} {error}.") from error
