"""What a pass did and what it left alone, with reasons."""

from __future__ import annotations

from dataclasses import dataclass, field

from graphc.ir import NOWHERE, Location


@dataclass(frozen=True)
class Event:
    """One decision.

    Args:
        what: The rule, or what was done in words.
        location: Where the node concerned comes from.
        reason: Why a rule was refused; empty if it was applied.
    """

    what: str
    location: Location = NOWHERE
    reason: str = ""

    def __str__(self) -> str:
        verb = "refused" if self.reason else "applied"
        because = f": {self.reason}" if self.reason else ""
        place = f" ({self.location})" if str(self.location) else ""
        return f"{verb} {self.what}{because}{place}"


@dataclass
class Report:
    """The decisions of one pass, each counted.

    Example:
        >>> report = Report()
        >>> report.apply("double negation")
        >>> print(report)
        applied double negation
    """

    events: dict[Event, int] = field(default_factory=dict)

    def apply(self, what: str, location: Location = NOWHERE) -> None:
        """Note that something was done."""
        self._count(Event(what, location))

    def refuse(self, what: str, reason: str, location: Location = NOWHERE) -> None:
        """Note that something was not done, and why."""
        self._count(Event(what, location, reason))

    @property
    def applied(self) -> list[str]:
        """What was done, each thing once."""
        return list(dict.fromkeys(event.what for event in self.events if not event.reason))

    @property
    def refused(self) -> dict[str, str]:
        """What was not done, to the last reason."""
        return {event.what: event.reason for event in self.events if event.reason}

    def __str__(self) -> str:
        lines = []
        for event, count in self.events.items():
            lines.append(f"{event}{f', {count} times' if count > 1 else ''}")
        return "\n".join(lines)

    def _count(self, event: Event) -> None:
        self.events[event] = self.events.get(event, 0) + 1
