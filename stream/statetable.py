"""The Faust table that hands out the future of its latest changelog record.

Knows: Faust's Table. Does not know: what the values mean.
"""

from __future__ import annotations

from typing import Any

from faust.tables.table import Table
from faust.types.tuples import FutureMessage


class StateTable(Table):  # type: ignore[type-arg]  # Faust's own keys and values are Any
    """Exactly Faust's table; after `table[key] = value`, `sent` is that write's changelog future."""

    sent: FutureMessage

    def send_changelog(self, *args: Any, **kwargs: Any) -> FutureMessage:
        """Send as Faust does, and remember the future."""
        self.sent = super().send_changelog(*args, **kwargs)
        return self.sent
