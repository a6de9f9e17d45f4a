"""What can go wrong in the model room; the class docstring is the message.

Knows: nothing else of the project.
"""

from __future__ import annotations

import inspect


class ModelError(Exception):
    """The model could not do what was asked."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(f"{inspect.cleandoc(type(self).__doc__ or '')} {detail}".strip())


class VersionMissing(ModelError):
    """No such published version; `hopstream train` publishes one."""


class VersionDamaged(ModelError):
    """A published version does not match its own manifest and is refused; publish it again."""


class VersionOvertaken(ModelError):
    """Another version serves by now than the one that this was made to follow; nothing was published."""


class VersionWithdrawn(ModelError):
    """This version was rolled back and never serves again; train a new one."""


class CatalogueMismatch(ModelError):
    """These weights were trained for another catalogue; publish weights and catalogue together."""


class NotEnoughData(ModelError):
    """There are too few events to train on."""


class CheckpointMismatch(ModelError):
    """The checkpoint belongs to another training; name another directory, or the same data and options."""
