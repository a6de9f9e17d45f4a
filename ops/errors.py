"""What can go wrong around the streams; the class docstring is the message.

Knows: which exit code each one ends a process with. Does not know: who raises.
"""

from __future__ import annotations

import inspect
from typing import ClassVar

from ops import exit_codes


class OpsError(Exception):
    """What was asked could not be done."""

    exit_code: ClassVar[int] = exit_codes.CHECK_FAILED

    def __init__(self, detail: str = "") -> None:
        super().__init__(f"{inspect.cleandoc(type(self).__doc__ or '')} {detail}".strip())


class JarsMissing(OpsError):
    """The broker's Java archives are not in the cache and could not be fetched; connect this machine to Maven
    Central once, or copy the cache directory from a machine that has them."""


class JarsDamaged(OpsError):
    """A Java archive is not the one this version of Hopstream was tested with, and is refused; delete the
    file and start again to fetch it anew."""


class PortBusy(OpsError):
    """The port is taken; stop its holder, or choose another with --port (0 takes a free one)."""

    exit_code = exit_codes.USAGE


class DirectoryRefused(OpsError):
    """The broker's data directory cannot be used; name another one with --data-dir."""

    exit_code = exit_codes.USAGE


class FolderRefused(OpsError):
    """This folder cannot be emptied for a demo; name another one with --folder."""

    exit_code = exit_codes.USAGE


class BrokerFailed(OpsError):
    """The embedded broker did not come up or went away."""

    exit_code = exit_codes.INFRASTRUCTURE


class RoleFailed(OpsError):
    """A role did not stay up, and everything was stopped."""

    exit_code = exit_codes.INFRASTRUCTURE


class StopAsked(OpsError):
    """Stopped on request."""

    exit_code = exit_codes.OK
