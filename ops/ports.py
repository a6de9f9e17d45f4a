"""Ports of this machine: free ones, taken ones, and by whom.

Knows: sockets, psutil. Does not know: what listens.
"""

from __future__ import annotations

import socket

import psutil


def free_port(host: str) -> int:
    """A port nobody listens on now; the kernel hands the same one out again only much later."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT is no holder
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def answers(host: str, port: int) -> bool:
    """Whether somebody listens there."""
    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:
        return False


def holder(port: int) -> str:
    """Who listens on a port, as far as this user may know."""
    try:
        found = [
            link.pid
            for link in psutil.net_connections(kind="inet")
            if link.status == psutil.CONN_LISTEN and link.laddr.port == port and link.pid
        ]
        if found:
            return f"{psutil.Process(found[0]).name()} (process {found[0]})"
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        pass
    return "another process"
