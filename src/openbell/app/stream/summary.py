"""What a stream did, for a person and for a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openbell.app.stream.metrics import StreamMetrics


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of one run of a stream; `outcomes` are those of all its runs.

    `reports` hold the last sentence of each kind.

    `cached_share` is the part of the feature computations that were saved because longer frames had no new bar, None
    where the features do not tell it.
    """

    models: Sequence[str]
    metrics: StreamMetrics
    cached_share: float | None
    outcomes: Sequence[Mapping[str, Any]]
    unresolved: int
    reports: Sequence[str]

    def as_json(self) -> dict[str, Any]:
        """For a program to read."""
        by = self.metrics.by
        return {
            "models": list(self.models),
            "bars": by("bars"),
            "moments": by("moments"),
            "signals": by("signals"),
            "held": by("held"),
            "missing": by("missing"),
            "messages": by("messages"),
            "published": by("published"),
            "latency_ms": {stage: dict(each) for stage, each in self.metrics.latency_ms.items()},
            "cached_share": self.cached_share,
            "outcomes": [dict(each) for each in self.outcomes],
            "outcomes_never_known": self.unresolved,
            "reports": list(self.reports),
        }

    def lines(self) -> list[str]:
        """In sentences."""
        by, counts = self.metrics.by, self.metrics.total
        said = [f"{counts('bars'):,} bars: {_listed(by('bars'))}.", f"Moments: {_listed(by('moments'))}."]
        said.append(f"{counts('signals'):,} signals: {_listed(by('signals'))}.")
        for what, told in (
            ("held", "Held back"), ("missing", "Not in the vote"), ("messages", "Messages that could not be read"),
            ("published", "Published"),
        ):  # fmt: skip
            if by(what):
                said.append(f"{told}: {_listed(by(what))}.")
        for stage, each in self.metrics.latency_ms.items():
            said.append(
                f"{stage.replace('_', ' ')}: {each['p50']:.2f} ms in half of {each['n']:,.0f} moments, "
                f"{each['p95']:.2f} ms in 95 %, {each['p99']:.2f} ms in 99 %."
            )
        if self.cached_share is not None:
            said.append(
                f"{self.cached_share:.1%} of the feature computations were saved: longer frames had no new bar."
            )
        return [*said, *(_outcome(each) for each in self.outcomes), *self.reports]


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {label}" for label, number in counts.items()) or "none"


def _outcome(told: Mapping[str, Any]) -> str:
    """What came of what one model said."""
    counts = f"{told['outcomes']:,} outcomes in {told['sessions']} sessions"
    line = f"{told['model']}: log-loss {told['log_loss']:.4f} of {counts}"
    if told["reference"] is None:
        return f"{line}; there is no walk-forward to compare it with."
    word = "It has drifted: look at it." if told["drifted"] else "No drift can be told."
    return f"{line}, {told['reference']:.4f} in its walk-forward. {word}"
