"""What the gateway has done since it began: counted here, told to whoever asks.

Place:  bus.gateway.run, bus.gateway.deliver -> [bus.gateway.tally] -> assembly.gateway
Rule:   labels are outcomes and subscriptions alone: as many as the manifest has, whatever comes.
"""

from __future__ import annotations

from collections import Counter

from mergepoint.bus.exposition import Sample


class Tally:
    """Counters of one gateway; of its loop alone."""

    def __init__(self) -> None:
        self._published: Counter[str] = Counter()
        self._delivered: Counter[tuple[str, str]] = Counter()

    def published(self, outcome: str) -> None:
        """Count a message that came over HTTP; `outcome` is `ok` or the code of its refusal."""
        self._published[outcome] += 1

    def delivered(self, subscription: str, outcome: str) -> None:
        """Count a post of a subscription, by the name of its queue."""
        self._delivered[subscription, outcome] += 1

    def samples(self) -> list[Sample]:
        """Return what was counted."""
        told: list[Sample] = [
            ("mergepoint_gateway_published_total", {"outcome": outcome}, count)
            for outcome, count in sorted(self._published.items())
        ]
        return told + [
            (
                "mergepoint_gateway_delivered_total",
                {"subscription": subscription, "outcome": outcome},
                count,
            )
            for (subscription, outcome), count in sorted(self._delivered.items())
        ]
