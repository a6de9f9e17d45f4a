"""A place to write small files, packed as asked."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """write("sub/name.csv.gz", text): a file under tmp_path, packed by its suffix."""

    def write(name: str, text: str, encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = text.encode(encoding)
        if name.endswith(".tar.gz"):
            with tarfile.open(path, "w:gz") as tar:
                info = tarfile.TarInfo(f"folder/{path.name.removesuffix('.tar.gz')}")
                info.size = len(raw)
                tar.addfile(info, io.BytesIO(raw))
        elif path.suffix == ".zip":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr(f"folder/{path.name.removesuffix('.zip')}", raw)
        elif path.suffix == ".gz":
            path.write_bytes(gzip.compress(raw))
        elif path.suffix == ".zst":
            path.write_bytes(zstandard.compress(raw))
        else:
            path.write_bytes(raw)
        return path

    return write
