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

    def _on_changelog_sent(self, fut: FutureMessage) -> None:
        """Note how far the local store has come, unless somebody else wrote in between or owns it now.

        A record that arrives late lies above those of whoever owned the partition meanwhile; noted, recovery
        would begin there and never read them. Not noted, recovery only reads more.
        """
        at = fut.result()
        store: Any = self.data
        if at.topic_partition.partition not in store._dbs:
            return
        persisted = self.persisted_offset(at.topic_partition)
        if at.offset == (0 if persisted is None else persisted + 1):
            super()._on_changelog_sent(fut)
