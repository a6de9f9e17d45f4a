"""The page's files: what they are served as, what they may do, where the foreign ones come from."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from ops.server.routes_page import FOLDER
from ops.status import Phase, Status, read, write
from tests.ops.server.hall import Hall

FILES = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file())
MAX_LINES = 300
#: Of the npm package uplot 1.6.32.
VENDORED = {
    "vendor/uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "vendor/uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    "vendor/uPlot-LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
}


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html"),
        ("/page/main.js", "text/javascript"),
        ("/page/page.css", "text/css"),
        ("/page/icon.svg", "image/svg+xml"),
        ("/docs", "text/html"),
        ("/page/swagger/swagger-ui-bundle.js", "text/javascript"),
        ("/page/swagger/swagger-ui.css", "text/css"),
    ],
)
async def test_a_file_has_its_type_and_its_limits(path: str, kind: str, tmp_path: Path) -> None:
    """Only our own scripts run, and whoever has the file already is told so."""
    async with Hall(tmp_path).client() as client:
        first = await client.get(path)
        again = await client.get(path, headers={"If-None-Match": first.headers["etag"]})

    assert first.headers["content-type"].startswith(kind)
    assert "script-src 'self';" in first.headers["content-security-policy"]
    assert first.headers["x-content-type-options"] == "nosniff"
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["/page/none.js", "/page/../app.py", "/page/vendor/uPlot-LICENSE"])
async def test_nothing_else_is_a_file_of_the_page(path: str, tmp_path: Path) -> None:
    """Neither the server's own files nor what has no type."""
    async with Hall(tmp_path).client() as client:
        assert (await client.get(path)).status_code == 404


def test_no_script_or_style_stands_inline() -> None:
    """The policy would not run it, so nothing may depend on it."""
    for page in FOLDER.glob("*.html"):
        assert re.findall(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=", page.read_text()) == []


def test_everything_the_page_names_is_there() -> None:
    """Every script, style, picture and module."""
    named = {
        name
        for page in FOLDER.glob("*.html")
        for name in re.findall(r'"/page/([^"]+)"', page.read_text())
        if not name.startswith("swagger/")  # of a package
    }
    for script in FOLDER.glob("*.js"):
        named |= set(re.findall(r'from "\./([^"]+)"', script.read_text()))

    assert named
    assert named - set(FILES) == set()


def test_foreign_files_are_the_published_ones() -> None:
    """By their hashes."""
    found = {name: hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() for name in VENDORED}

    assert found == VENDORED


@pytest.mark.parametrize("name", [name for name in FILES if not name.startswith("vendor/")])
def test_files_of_the_page_are_short(name: str) -> None:
    """As the Python files are."""
    assert len((FOLDER / name).read_text().splitlines()) <= MAX_LINES


async def test_what_a_run_says_of_itself_is_told(tmp_path: Path) -> None:
    """The status file reaches /now within a second's tick; a broken one changes nothing."""
    hall = Hall(tmp_path, status_file=tmp_path / "status.json")
    said = Status(
        dataset="d", licence="free", pace="1 click/s", phases=[Phase(name="p", text="t", state="now")]
    )
    write(tmp_path / "status.json", said)
    hall.scene.tick(1000.0)
    (tmp_path / "status.json").write_text("{")
    hall.scene.tick(2000.0)

    async with hall.client() as client:
        told = (await client.get("/now")).json()
    assert told["run"]["phases"] == [{"name": "p", "text": "t", "state": "now", "seconds": None}]
    assert [tick["at_ms"] for tick in told["ticks"]] == [1000, 2000]
    assert read(tmp_path / "none.json") is None
