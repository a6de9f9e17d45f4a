"""One file from its publisher: whole and with the stated hash, or not there at all.

Knows: HTTP, MD5. Does not know: data sets, terminals.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from ops import exit_codes
from ops.errors import OpsError

CHUNK_BYTES = 1 << 20
#: Silence of a server after which we give up.
TIMEOUT_S = 30.0
#: Called with (bytes so far, bytes in all or None).
Progress = Callable[[int, int | None], None]


class DownloadFailed(OpsError):
    """The publisher's file could not be fetched; fetch it by hand and put it into a directory named by
    $HOPSTREAM_DATA."""

    exit_code = exit_codes.NOT_FOUND


class HashMismatch(OpsError):
    """What was downloaded is not what the publisher describes and was removed; try again, and if it happens
    again the file has changed or the connection is not to be trusted."""

    exit_code = exit_codes.CHECK_FAILED


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came."""

    path: Path
    md5: str  # of what was written
    stated: bool  # whether the publisher states this hash; False: there was nothing to check against


def fetch(
    url: str,
    to: Path,
    *,
    md5: str | None = None,
    md5_url: str | None = None,
    progress: Progress | None = None,
) -> Fetched:
    """Download ``url`` to the file ``to``, checking the publisher's MD5 if one is stated.

    ``md5_url``: a text of the publisher that contains the hash, read only when ``md5`` is None.
    Raises DownloadFailed, HashMismatch; then no file is left behind.
    """
    to.parent.mkdir(parents=True, exist_ok=True)
    part = to.with_name(f"{to.name}.part")
    try:
        with httpx.Client(follow_redirects=True, timeout=TIMEOUT_S) as client:
            stated = md5 or (_stated(client, md5_url) if md5_url else None)
            found = _stream(client, url, part, progress)
        if stated is not None and found != stated:
            raise HashMismatch(f"{url}: md5 {found}, the publisher states {stated}.")
        part.rename(to)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DownloadFailed(f"{url}: {error or type(error).__name__}.") from error
    except OSError as error:
        raise DownloadFailed(f"{to} cannot be written: {error}.") from error
    finally:
        part.unlink(missing_ok=True)
    return Fetched(to, found, stated is not None)


def _stream(client: httpx.Client, url: str, part: Path, progress: Progress | None) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with client.stream("GET", url) as answer, part.open("wb") as file:
        answer.raise_for_status()
        length = answer.headers.get("content-length")
        total = int(length) if length and "content-encoding" not in answer.headers else None
        done = 0
        for chunk in answer.iter_bytes(CHUNK_BYTES):
            file.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            if progress:
                progress(done, total)
    return digest.hexdigest()


def _stated(client: httpx.Client, md5_url: str) -> str:
    answer = client.get(md5_url)
    answer.raise_for_status()
    found = re.search(r"\b[0-9a-fA-F]{32}\b", answer.text)
    if not found:
        raise DownloadFailed(f"{md5_url} states no MD5.")
    return found[0].lower()
