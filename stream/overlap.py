"""Events that judged a version which had been trained through them: there must be none.

Knows: how far versions were trained, by partition; which judged events lie before that.
Does not know: where manifests lie, Kafka, who trains, how well anything ranked.

The trainer reads no further than what is judged (judged.py); here that is not taken on trust. A version that
was trained from a file, or on a topic that was deleted since, overlaps with nothing on the topic of now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from stream.judging import Judged
from stream.records import Judgement

#: Partition → newest offset on this topic that a version was trained through.
Through = Mapping[int, int]

#: Versions whose offsets are remembered; past it the one known longest is read again when it is needed.
MAX_VERSIONS: Final = 256
#: Overlaps that are told one by one.
EXAMPLES: Final = 5


class Overlap:
    """Counts events that a version of their judgement had learned, and those of which nobody can tell."""

    def __init__(self, read: Callable[[str], Through | None]) -> None:
        """``read``: how far a version was trained; None for one that is gone or cannot be read."""
        self.events = 0  # judged a version that had been trained through them
        self.unchecked = 0  # judged a version of which nobody knows how far it was trained
        self._examples: list[str] = []
        self._read = read
        self._through: dict[str, Through | None] = {}

    def judged(self, event: Judged, judgement: Judgement) -> None:
        """An event judges this judgement's lines."""
        versions = sorted({line.version for line in judgement.lines.values() if line.version is not None})
        found = {version: self._known(version) for version in versions}
        learned = [
            (version, through[event.partition])
            for version, through in found.items()
            if through is not None and event.offset <= through.get(event.partition, -1)
        ]
        self.events += bool(learned)
        self.unchecked += any(through is None for through in found.values())
        if learned and len(self._examples) < EXAMPLES:
            version, through = learned[0]
            place = f"{event.partition}/{event.offset}"
            self._examples.append(f"event {place} judged {version}, trained through offset {through}")

    def report(self) -> dict[str, Any]:
        """For the evaluator's report; examples name no user."""
        return {"events": self.events, "unchecked": self.unchecked, "examples": list(self._examples)}

    def state(self) -> list[Any]:
        """For a snapshot; versions that were pruned since are still known by it."""
        known = {name: None if found is None else dict(found) for name, found in self._through.items()}
        return [self.events, self.unchecked, self._examples, known]

    def restore(self, state: list[Any]) -> None:
        """Go on from `state`."""
        self.events, self.unchecked, self._examples, self._through = state

    def _known(self, version: str) -> Through | None:
        if version not in self._through:
            self._through[version] = self._read(version)
            if len(self._through) > MAX_VERSIONS:
                del self._through[next(iter(self._through))]
        return self._through[version]
