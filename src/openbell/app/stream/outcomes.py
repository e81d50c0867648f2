"""What came of what was said: the log-loss of every model that spoke, once each outcome is known, and its drift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from openbell.core.declare import Label
from openbell.core.signal import LABELS, PROBABILITIES, Said
from openbell.core.time import MOMENT, Sessions
from openbell.quant.reach import label_reach

#: What is waiting for its outcome.
_SAID: Mapping[str, Any] = {
    "model": pl.String,
    "symbol": pl.String,
    "session": pl.Date,
    "as_of": MOMENT,
    "close": pl.Float64,
    "sigma": pl.Float64,
    **dict.fromkeys(PROBABILITIES, pl.Float64),
}
_BARS: Mapping[str, Any] = {
    "symbol": pl.String,
    "session": pl.Date,
    "at": MOMENT,
    **dict.fromkeys(("open", "high", "low", "close"), pl.Float64),
}
_SCORED: Mapping[str, Any] = {"model": pl.String, "session": pl.Date, "log_loss": pl.Float64, "n": pl.Int64}
#: Probabilities count as at least this in the log-loss, so that one certain error does not hide all others.
LEAST = 1e-6


class Outcomes:
    """Keeps what was said until its label is known, by the very function that labels the training rows.

    Parameters
    ----------
    label : what the models learnt. within_session : whether a horizon ends with its session.
    """

    def __init__(self, label: Label, sessions: Sessions, *, within_session: bool) -> None:
        self._label, self._sessions, self._within = label, sessions, within_session
        reach = label_reach(label)
        self._forward, self._back = reach.forward, reach.back + 1
        self._heard: list[Said] = []
        self._said: list[pl.DataFrame] = []
        self._bars: list[pl.DataFrame] = []
        self._scored = pl.DataFrame(schema=dict(_SCORED))
        self.unresolved = 0

    def heard(self, said: Sequence[Said]) -> None:
        """Remember what models said at one moment."""
        self._heard += said

    def saw(self, bars: pl.DataFrame) -> None:
        """Remember the bars of one moment."""
        self._bars.append(bars)

    def settle(self) -> None:
        """Score what is known by now, forget it, and the bars that nothing waits for."""
        if not self._bars:
            return
        self._take()
        said, bars = _joined(self._said, _SAID), _joined(self._bars, _BARS).sort("symbol", "at")
        known = self._labelled(said, bars)
        self._scored = pl.concat([self._scored, _scores(known)])
        waiting = said.join(known, on=["model", "symbol", "as_of"], how="anti")
        # `rank` 1 is the latest bar of its symbol. With `forward` bars after it, what has no label never gets one.
        bars = bars.with_columns(rank=pl.int_range(pl.len(), 0, -1).over("symbol"))
        due = bars.filter(pl.col("rank") == self._forward + 1).select("symbol", due="at")
        placed = waiting.join(due, on="symbol", how="left")
        hopeless = (pl.col("as_of") <= pl.col("due")).fill_null(False)
        self.unresolved += placed.filter(hopeless).height
        self._said = [placed.filter(~hopeless).select(list(_SAID))]
        self._bars = [bars.filter(pl.col("rank") <= self._forward + self._back).select(list(_BARS))]

    def _take(self) -> None:
        """Make rows of what was heard since: not while a signal waits for it."""
        for each in self._heard:
            keys = [
                pl.lit(each.model).alias("model"),
                pl.lit(each.session).alias("session"),
                pl.lit(each.as_of, dtype=MOMENT).alias("as_of"),
            ]
            self._said.append(each.rows.with_columns(keys))
        self._heard = []

    def _labelled(self, said: pl.DataFrame, bars: pl.DataFrame) -> pl.DataFrame:
        from openbell.research.signal_rows import signal_rows

        if said.is_empty():
            return said.with_columns(label=pl.lit(None, pl.Int8))
        keys = said.select("symbol", "session", "as_of", "close", "sigma").unique(["symbol", "as_of"], keep="first")
        rows, _ = signal_rows(
            keys, bars, self._label, decide_every=1, within_session=self._within, sessions=self._sessions
        )
        told = rows.filter(pl.col("label").is_not_null()).select("symbol", "as_of", "label")
        return said.join(told, on=["symbol", "as_of"], how="inner")

    def summary(self, references: Mapping[str, float | None]) -> list[dict[str, Any]]:
        """By model: outcomes known, mean log-loss, that of its walk-forward, and whether it has drifted from it.

        The difference to the reference is judged by sessions with a confidence sequence, which may be looked at as
        often as one likes; a session of many symbols is one observation.
        """
        return [_told(model, rows, references.get(model)) for (model,), rows in _by_model(self._scored)]

    @property
    def latest(self) -> float | None:
        """Mean log-loss over everything scored so far."""
        total = self._scored["n"].sum()
        return float((self._scored["log_loss"] * self._scored["n"]).sum()) / total if total else None

    def write(self, folder: Path) -> None:
        """Into a snapshot."""
        self._take()
        _joined(self._said, _SAID).write_parquet(folder / "said.parquet")
        _joined(self._bars, _BARS).write_parquet(folder / "bars.parquet")
        self._scored.write_parquet(folder / "scored.parquet")

    def read(self, folder: Path) -> None:
        """Out of a snapshot."""
        self._said = [pl.read_parquet(folder / "said.parquet")]
        self._bars = [pl.read_parquet(folder / "bars.parquet")]
        self._scored = pl.read_parquet(folder / "scored.parquet")


def _joined(parts: list[pl.DataFrame], schema: Mapping[str, Any]) -> pl.DataFrame:
    return pl.concat([pl.DataFrame(schema=dict(schema)), *(each.select(list(schema)) for each in parts)])


def _by_model(scored: pl.DataFrame) -> list[tuple[tuple[str], pl.DataFrame]]:
    return sorted(scored.partition_by("model", as_dict=True).items())  # type: ignore[arg-type]


def _scores(known: pl.DataFrame) -> pl.DataFrame:
    """Mean log-loss by model and session."""
    said = pl.lit(None, pl.Float64)
    for label, name in zip(LABELS, PROBABILITIES, strict=True):
        said = pl.when(pl.col("label") == label).then(pl.col(name)).otherwise(said)
    loss = -said.clip(LEAST, 1.0).log()
    return (
        known.group_by("model", "session")
        .agg(loss.mean().alias("log_loss"), pl.len().cast(pl.Int64).alias("n"))
        .sort("model", "session")
        .select(list(_SCORED))
    )


def _told(model: str, rows: pl.DataFrame, reference: float | None) -> dict[str, Any]:
    """One model; the same session, scored in two parts, is one observation."""
    from openbell.quant.sequential import asymptotic_mean

    total = int(rows["n"].sum())
    weighted = (pl.col("log_loss") * pl.col("n")).sum() / pl.col("n").sum()
    days = rows.group_by("session").agg(weighted.alias("log_loss")).sort("session")["log_loss"].to_numpy()
    mean = float(np.dot(rows["log_loss"].to_numpy(), rows["n"].to_numpy()) / total)
    told: dict[str, Any] = {
        "model": model, "outcomes": total, "sessions": len(days), "log_loss": mean, "reference": reference,
        "drifted": None,
    }  # fmt: skip
    if reference is not None:
        found = asymptotic_mean(days - reference, level=0.95)
        told |= {"low": found.low, "high": found.high, "drifted": found.decided > 0}
    return told
