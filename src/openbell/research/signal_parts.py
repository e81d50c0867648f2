"""What one fit learns from: rows to train on, to calibrate on and, where asked, to conform on, in this order."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from openbell.core.errors import BadInput
from openbell.core.signal import DECISIONS, LABELS
from openbell.core.time import utc
from openbell.quant.uniqueness import average_uniqueness, uniqueness_weights


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """The rows of one fit, each part sorted by (as_of, symbol).

    Attributes
    ----------
    train : rows whose label was known before the first decision of `calibrate`. context : all decisions before it,
        labelled or not, which a member that reads sequences is shown. calibrate : rows whose label was known before the
        first decision of `conform`. conform : the last sessions, none where none were asked for. late : all decisions
        from the first of `calibrate` on.
    purged : rows that are in no part, because their label was known too late for theirs. unknown : rows without a
        label that was known at `fit_at`.
    """

    train: pl.DataFrame
    context: pl.DataFrame
    calibrate: pl.DataFrame
    conform: pl.DataFrame
    late: pl.DataFrame
    fit_at: dt.datetime
    purged: int
    unknown: int


def parts(
    rows: pl.DataFrame,
    features: Sequence[str],
    fit_at: dt.datetime | None,
    calibration_share: float,
    *,
    columns: Sequence[str] = tuple(DECISIONS),
    codes: Sequence[int] = LABELS,
    conforming: bool = True,
) -> Parts:
    """Cut `rows` by sessions; a session stands in one part alone, and every part knew its labels before the next.

    Rows that were decided after `fit_at`, or whose label was not known then, are not learned from.

    Parameters
    ----------
    rows : `columns` and `features`. fit_at : None takes the moment at which the last label was known.
    calibration_share : last part of the sessions with known labels. Where `conforming`, its second half conforms.
    codes : that a label may have.
    """
    if not 0.0 < calibration_share < 1.0:
        raise BadInput(f"`calibration_share` must lie between 0 and 1; was {calibration_share:g}.")
    _check_columns(rows, (*columns, *features) if features else ())
    latest = rows["label_known_at"].max() if fit_at is None else utc(fit_at)
    if not isinstance(latest, dt.datetime):
        raise BadInput("No label of these rows is known yet; there is nothing to learn.")
    seen = rows.filter(pl.col("as_of") <= latest).sort("as_of", "symbol")
    is_known = pl.col("label").is_not_null() & (pl.col("label_known_at") <= latest)
    known = seen.filter(is_known)
    check_values(known, features, codes)
    days = known["session"].unique().sort()
    count = max(2, round(calibration_share * len(days)))
    if len(days) <= count:
        raise BadInput(
            f"There are known labels of {len(days)} sessions; {count} of them calibrate{' and conform' * conforming}, "
            "and the members need some before. Give a longer history."
        )
    first, middle = days[len(days) - count], days[len(days) - count // 2]
    late = seen.filter(pl.col("session") >= first)
    calibrate, conform = known.filter(pl.col("session") >= first), known.clear()
    if conforming:
        conform = known.filter(pl.col("session") >= middle)
        calibrate = _before(calibrate.filter(pl.col("session") < middle), conform)
    train = _before(known.filter(pl.col("session") < first), late)
    for name, part in (("train", train), ("calibrate", calibrate), ("conform", conform)):
        if part.is_empty() and (conforming or name != "conform"):
            raise BadInput(f"No row is left to {name} on: no label was known in time. Give a longer history.")
    return Parts(
        train=train,
        context=seen.filter(pl.col("session") < first),
        calibrate=calibrate,
        conform=conform,
        late=late,
        fit_at=latest,
        purged=known.height - train.height - calibrate.height - conform.height,
        unknown=seen.height - known.height,
    )


def _before(rows: pl.DataFrame, later: pl.DataFrame) -> pl.DataFrame:
    """Those of `rows` whose label was known at the first decision of `later`."""
    return rows.filter(pl.col("label_known_at") <= later["as_of"].min())


def _check_columns(rows: pl.DataFrame, needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in rows.columns]
    if missing or not needed:
        raise BadInput(f"Rows to learn from lack {', '.join(f'`{name}`' for name in missing) or 'any feature'}.")


def check_values(rows: pl.DataFrame, features: Sequence[str], codes: Sequence[int] = LABELS) -> None:
    """Refuse what is not finite before anything is fitted, naming the columns; a missing value is null, not NaN."""
    odd = rows.select((~pl.col(name).is_finite()).sum().alias(name) for name in features).row(0, named=True)
    bad = {name: count for name, count in odd.items() if count}
    if bad:
        told = ", ".join(f"`{name}` ({count:,} rows)" for name, count in list(bad.items())[:10])
        more = f" and {len(bad) - 10} more columns" if len(bad) > 10 else ""
        raise BadInput(
            f"Infinite values or NaN stand in {told}{more}. Nothing is fitted on them: a feature that cannot be "
            "computed is null."
        )
    strange = rows.filter(~pl.col("label").is_in(list(codes))).height
    if strange:
        raise BadInput(f"Labels are {', '.join(map(str, codes))} here; {strange:,} rows have others.")


def fit_keys(rows: pl.DataFrame) -> pl.DataFrame:
    """What orders the rows of a fit; the moment of the decision (UTC, without its zone) stands for the session."""
    known = pl.coalesce("label_known_at", "as_of").alias("known_at")
    return rows.select(pl.col("as_of").dt.replace_time_zone(None).alias("session"), "symbol", known)


def label_weights(rows: pl.DataFrame) -> np.ndarray:
    """How much of each label is its own, (n,), mean 1: labels that last over the same decisions share what they teach.

    The life of a label is counted in the decision moments of `rows` from its own to the last before it was known.
    """
    return uniqueness_weights(*_lives(rows)) if rows.height else np.empty(0)


def labels_alone(rows: pl.DataFrame) -> float:
    """How many labels of `rows` there would be if none lasted over another of its symbol: the sum of uniqueness."""
    return float(average_uniqueness(*_lives(rows)).sum()) if rows.height else 0.0


def _lives(rows: pl.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    moment = rows["as_of"].dt.epoch("us").to_numpy()
    distinct = np.unique(moment)
    first = np.searchsorted(distinct, moment)
    last = np.searchsorted(distinct, rows["label_known_at"].dt.epoch("us").to_numpy(), side="left") - 1
    return first, np.maximum(last, first), rows["symbol"].to_numpy()


def thinned(rows: pl.DataFrame, most: int, *, sequential: bool) -> tuple[pl.DataFrame, int]:
    """At most about `most` of `rows`, by whole sessions: one in so many, counted from the last; and in how many.

    A member that reads sequences keeps the latest part of the sessions instead, for it reads rows in a row.
    """
    if most < 1:
        raise BadInput(f"`max_train_rows` must be at least 1; was {most}.")
    one_in = math.ceil(rows.height / most)
    if one_in <= 1:
        return rows, 1
    number = rows["session"].rank("dense").cast(pl.Int64)
    count = int(number.max())  # type: ignore[arg-type]
    kept = number > count - math.ceil(count / one_in) if sequential else (count - number) % one_in == 0
    return rows.filter(kept), one_in


def described(found: Parts, codes: Sequence[int] = LABELS) -> dict[str, Any]:
    """The parts as plain values, with the share of each of the `codes` of labels."""
    told: dict[str, Any] = {"fit_at": found.fit_at, "purged": found.purged, "unknown": found.unknown}
    for name in ("train", "calibrate", "conform"):
        part: pl.DataFrame = getattr(found, name)
        label = part["label"]
        told[name] = {
            "n": part.height,
            "sessions": part["session"].n_unique(),
            "first": part["session"].min(),
            "last": part["session"].max(),
            "shares": [float((label == code).mean() or 0.0) for code in codes],
        }
    return told
