"""What can go wrong with data sets; the class docstring is the message.

Knows: exit codes. Does not know: formats, places.
"""

from __future__ import annotations

from ops import exit_codes
from ops.errors import OpsError


class DatasetMissing(OpsError):
    """This data set was not found."""

    exit_code = exit_codes.NOT_FOUND


class DatasetUnreadable(OpsError):
    """This file is not in the format it is read as."""

    exit_code = exit_codes.USAGE
