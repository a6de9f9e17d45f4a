"""The Java archives of the embedded broker: which ones, where they lie, and that they are the tested ones.

Knows: jgo (fetches by Maven coordinate, in Python, from its default repository), the lock file beside this.
Does not know: how the broker is run.

An archive appears in the cache complete and with the locked hash, or not at all. `python -m ops.jars`
resolves ENDPOINT anew and prints a new lock file; nothing else resolves.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from ops.errors import JarsDamaged, JarsMissing

#: kafka-clients is named although kafka_2.13 brings it: resolvers have picked another one's older wish.
ENDPOINT = (
    "org.apache.kafka:kafka_2.13:4.1.2+org.apache.kafka:kafka-clients:4.1.2+org.slf4j:slf4j-simple:1.7.36"
)
LOCK_FILE = Path(__file__).with_name("jars.lock.json")
#: Fetches at once: enough to hide latency, few enough to be polite.
MAX_FETCHES = 6


@dataclass(frozen=True, slots=True)
class Jar:
    """One locked archive."""

    artifact: str  # group:artifact
    version: str
    sha256: str

    @property
    def filename(self) -> str:
        return f"{self.artifact.partition(':')[2]}-{self.version}.jar"


def locked(lock_file: Path = LOCK_FILE) -> list[Jar]:
    """The archives of the class path, in its order."""
    return [Jar(**fields) for fields in json.loads(lock_file.read_text())]


def default_cache(downloads: Path = Path("~/.cache/hopstream")) -> Path:
    """Where archives lie under the user's cache of downloads (`data.cache`)."""
    return downloads.expanduser() / "jars"


def missing(jars: list[Jar], cache: Path) -> list[Jar]:
    """Those that would have to be fetched."""
    return [jar for jar in jars if not (cache / jar.filename).exists()]


def class_path(
    cache: Path,
    jars: list[Jar] | None = None,
    fetch: Callable[[Jar, Path], Path] | None = None,
) -> list[Path]:
    """Paths of all archives, fetched where absent, each checked against its locked hash at every call.

    Raises JarsMissing if one cannot be fetched, JarsDamaged if one has another hash.
    """
    jars = locked() if jars is None else jars
    cache.mkdir(parents=True, exist_ok=True)
    absent = missing(jars, cache)
    if absent:
        _fetch_all(absent, cache, fetch or fetch_from_central)
    for jar in jars:
        _check(cache / jar.filename, jar)
    return [cache / jar.filename for jar in jars]


def fetch_from_central(jar: Jar, folder: Path) -> Path:
    """Fetch one archive into ``folder`` with jgo; returns its path. Raises JarsMissing."""
    import requests
    from jgo.maven import MavenContext

    group, _, name = jar.artifact.partition(":")
    context = MavenContext(repo_cache=folder, local_repos=[], timeout=60)
    artifact = context.project(group, name).at_version(jar.version).artifact()
    try:
        return artifact.resolve()
    except requests.RequestException as error:
        raise JarsMissing(f"{jar.artifact}:{jar.version}: {type(error).__name__}.") from error
    except RuntimeError as error:  # what jgo raises for an archive that the repository does not have
        raise JarsMissing(f"{jar.artifact}:{jar.version}: {error}.") from error


def _fetch_all(jars: list[Jar], cache: Path, fetch: Callable[[Jar, Path], Path]) -> None:
    # beside their place, then renamed: an interrupted fetch leaves nothing under a final name
    with tempfile.TemporaryDirectory(dir=cache, prefix=".fetching-") as folder:

        def one(jar: Jar) -> None:
            got = fetch(jar, Path(folder))
            _check(got, jar)
            os.replace(got, cache / jar.filename)

        with ThreadPoolExecutor(max_workers=MAX_FETCHES) as pool:
            list(pool.map(one, jars))


def _check(path: Path, jar: Jar) -> None:
    found = _sha256(path)
    if found != jar.sha256:
        raise JarsDamaged(f"{path} has sha256 {found}, the lock file says {jar.sha256}.")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def resolve() -> list[Jar]:
    """Resolve ENDPOINT from scratch: what a new lock file should say. Needs the network, takes about 20 s."""
    import jgo

    return [
        Jar(f"{found.groupId}:{found.artifactId}", found.version, _sha256(Path(found.resolve())))
        for found in jgo.resolve(ENDPOINT)
    ]


if __name__ == "__main__":
    print(json.dumps([asdict(jar) for jar in resolve()], indent=2))
