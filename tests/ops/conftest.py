"""A web server of a few files, and where the real data lie."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

Serve = Callable[[Mapping[str, bytes]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """serve({"/path": body}) answers on 127.0.0.1 until the test ends and gives its address."""
    servers: list[ThreadingHTTPServer] = []

    def serve(files: Mapping[str, bytes]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # the name the server calls
                body = files.get(self.path)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def real_data() -> Path:
    """The directory of real data sets; skips where there is none."""
    root = Path(os.environ.get("HOPSTREAM_DATA") or Path(__file__).parents[2] / ".." / "shared" / "data")
    if not root.is_dir():
        pytest.skip("real data sets are not on this machine ($HOPSTREAM_DATA)")
    return root
