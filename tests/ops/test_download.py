"""Downloads are whole and checked, or absent."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from ops.download import DownloadFailed, HashMismatch, fetch

BODY = b"rows" * 1000
MD5 = hashlib.md5(BODY).hexdigest()


def test_a_stated_hash_is_checked(serve, tmp_path: Path) -> None:
    """The file is there under its name, with its hash, and progress reached its length."""
    seen: list[tuple[int, int | None]] = []
    address = serve({"/a.zip": BODY})
    fetched = fetch(
        f"{address}/a.zip", tmp_path / "x" / "a.zip", md5=MD5, progress=lambda *at: seen.append(at)
    )

    assert fetched.path.read_bytes() == BODY
    assert (fetched.md5, fetched.stated) == (MD5, True)
    assert seen[-1] == (len(BODY), len(BODY))


@pytest.mark.parametrize(
    "text",
    [f"MD5 (a.zip) = {MD5}\n", f"{MD5}  a.zip\n", json.dumps({"checksum": f"md5:{MD5}"}), MD5.upper()],
    ids=["BSD", "GNU", "Zenodo", "upper case"],
)
def test_the_publishers_hash_file_is_read(serve, tmp_path: Path, text: str) -> None:
    """A hash is found in every way publishers write it."""
    address = serve({"/a.zip": BODY, "/a.md5": text.encode()})

    assert fetch(f"{address}/a.zip", tmp_path / "a.zip", md5_url=f"{address}/a.md5").stated


def test_without_a_stated_hash_that_is_said(serve, tmp_path: Path) -> None:
    """Nothing to check against is no failure, but it is not hidden."""
    assert not fetch(f"{serve({'/a': BODY})}/a", tmp_path / "a").stated


def test_another_hash_is_refused(serve, tmp_path: Path) -> None:
    """Both hashes are named and nothing is left."""
    address = serve({"/a": BODY})
    with pytest.raises(HashMismatch, match=f"md5 {MD5}, the publisher states {'0' * 32}"):
        fetch(f"{address}/a", tmp_path / "a", md5="0" * 32)

    assert not list(tmp_path.iterdir())


def test_an_absent_file_is_a_failure(serve, tmp_path: Path) -> None:
    """A 404 is not written to disk."""
    with pytest.raises(DownloadFailed, match="404"):
        fetch(f"{serve({})}/a", tmp_path / "a")

    assert not list(tmp_path.iterdir())


def test_a_server_that_is_away_is_a_failure(tmp_path: Path) -> None:
    """A refused connection names the address and says what to do."""
    with pytest.raises(DownloadFailed, match=r"HOPSTREAM_DATA.*127\.0\.0\.1:9"):
        fetch("http://127.0.0.1:9/a", tmp_path / "a")


def test_a_hash_file_without_a_hash_is_a_failure(serve, tmp_path: Path) -> None:
    """A page of apologies is not taken for a hash."""
    address = serve({"/a": BODY, "/a.md5": b"<html>sorry</html>"})
    with pytest.raises(DownloadFailed, match="states no MD5"):
        fetch(f"{address}/a", tmp_path / "a", md5_url=f"{address}/a.md5")
