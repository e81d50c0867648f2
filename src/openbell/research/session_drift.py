"""Whether a model of the session desk still forecasts as it did in its walk, and how far the alarm can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from openbell.core.errors import BadInput
from openbell.core.session import probability
from openbell.quant.drift_watch import Alarm, Delay, alarm, rolling_scores
from openbell.research.session_trades import classes_of

#: Columns of `DriftWatch.watched`.
WATCHED: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "session": pl.Date, "log_loss": pl.Float64, "auc": pl.Float64, "rings": pl.Boolean,
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class DriftWatch:
    """An armed alarm of one model.

    `classes` are those that it is about, `tail` the last forecasts of the reference, one fewer than the window, so that
    the first session that is watched has a whole window.
    """

    model: str
    classes: tuple[str, ...]
    alarm: Alarm
    tail: pl.DataFrame

    def watched(self, later: pl.DataFrame) -> pl.DataFrame:
        """Rolling log-loss and AUC at each session of `later` (forecasts after the reference whose label is known).

        Returns
        -------
        polars.DataFrame
            `WATCHED`, a row per session of `later`; ``auc`` is null where a window has a single class.
        """
        known = spoken(later, self.classes)
        early = known.filter(pl.col("session") <= self.tail["session"].max()) if known.height else known
        if early.height:
            raise BadInput(
                f"The drift watch of `{self.model}` looks at sessions after {self.tail['session'][-1]}; it was "
                f"given {early.height} from {early['session'][0]} on."
            )
        return _rolled(pl.concat([self.tail, known.select(self.tail.columns)]), self.classes, self.alarm)

    def lines(self) -> list[str]:
        """What the alarm is worth, in sentences: to be read before it is relied on."""
        told, it = [], self.alarm
        told.append(
            f"The drift watch of `{self.model}` rings where the log-loss of {it.window} sessions lies above "
            f"{it.loss_limit:.4f} or their AUC below {it.auc_limit:.3f}; over the {it.n:,} sessions of the walk they "
            f"were {it.loss:.4f} and {it.auc:.3f}."
        )
        told.append(
            f"Without any drift it rings within {it.horizon} sessions with a chance of {it.asked:.0%}; in "
            f"{it.simulated:,} simulated years without one it rang in {it.measured:.1%} "
            f"({it.low:.1%} to {it.high:.1%})."
        )
        return [*told, *(_noticed(each, it.horizon) for each in it.delays)]

    @property
    def record(self) -> dict[str, Any]:
        """As plain values."""
        return {"model": self.model, "classes": list(self.classes), **asdict(self.alarm)}


def _noticed(delay: Delay, horizon: int) -> str:
    soon = "" if delay.median is None else f", half of them within {delay.median} sessions"
    late = "" if delay.ninth_decile is None else f" and nine of ten within {delay.ninth_decile}"
    return f"Where {delay.drift}, it rings in {delay.share_detected:.0%} of years of {horizon} sessions{soon}{late}."


def spoken(forecasts: pl.DataFrame, classes: tuple[str, ...]) -> pl.DataFrame:
    """Forecasts with probabilities and a known label, in order: ``session``, the probabilities and ``label``."""
    names = [probability(each) for each in classes]
    said = pl.all_horizontal(pl.col(name).is_finite() for name in names) & pl.col("label").is_not_null()
    return forecasts.filter(said.fill_null(False)).select("session", *names, "label").sort("session")


def armed(
    forecasts: pl.DataFrame,
    *,
    window: int = 60,
    false_alarms: float = 0.05,
    horizon_sessions: int = 252,
    replications: int = 1000,
    seed: int = 0,
) -> DriftWatch:
    """An alarm whose reference are the forecasts of one model in its walk; see `quant.drift_watch.alarm`.

    Parameters
    ----------
    forecasts : of one model, out of sample; those without probabilities or a known label are left out.
    window, false_alarms : `settings.session.drift_window` and `drift_false_alarms`.

    Raises
    ------
    BadInput
        On forecasts of several models. DataMissing where there are fewer than two windows of them.
    """
    models = forecasts["model"].unique().to_list()
    if len(models) != 1:
        raise BadInput(f"A drift watch is of one model; the forecasts are of {len(models)}.")
    classes = classes_of(forecasts)
    known = spoken(forecasts, classes)
    found = alarm(
        *_arrays(known, classes), window=window, false_alarms=false_alarms, horizon=horizon_sessions,
        replications=replications, seed=seed,
    )  # fmt: skip
    return DriftWatch(str(models[0]), classes, found, known.tail(window - 1))


def rolling(forecasts: pl.DataFrame, watch: DriftWatch) -> pl.DataFrame:
    """`WATCHED` over the walk itself, from its first whole window on.

    The limits were set by these very sessions, so it rings among them as rarely as it was made to, not as a test.
    """
    return _rolled(spoken(forecasts, watch.classes), watch.classes, watch.alarm)


def _arrays(known: pl.DataFrame, classes: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    given = known.select(probability(each) for each in classes).to_numpy().reshape(-1, len(classes))
    return given, known["label"].to_numpy().astype(np.int64)


def _rolled(known: pl.DataFrame, classes: tuple[str, ...], it: Alarm) -> pl.DataFrame:
    if known.height < it.window:
        return pl.DataFrame(schema=dict(WATCHED))
    losses, aucs = rolling_scores(*_arrays(known, classes), it.window)
    days = known["session"][it.window - 1 :]
    found = {"session": days, "log_loss": losses, "auc": aucs, "rings": it.rings(losses, aucs)}
    return pl.DataFrame(found, schema=dict(WATCHED)).with_columns(pl.col("auc").fill_nan(None))
