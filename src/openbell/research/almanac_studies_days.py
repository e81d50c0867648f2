"""Studies of the days of one product: groups of like days, regimes, days that stand out, supports and resistances.

All of them describe the days at hand and are fitted to all of them: none is for a forecast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, DataMissing, unknown
from openbell.quant.regime import SLOW_SESSIONS, UNKNOWN, Regime
from openbell.quant.regime import regimes as regimes_of
from openbell.quant.swings import SWING_ROWS, resistance_1, resistance_2, support_1, support_2
from openbell.quant.value_statistics import SUFFICIENT, grouped_value_statistics
from openbell.research.compute import evaluated

Method = Literal["mixture", "kmeans"]
METHODS = ("mixture", "kmeans")
#: What days are told apart by unless other columns are asked for.
DAY_FEATURES = ("day_return_pct", "range_pct", "gap_pct", "relative_volume")
#: Fewest days that a group is made of.
LEAST_GROUP = 10
#: Robust z beyond which a value stands out.
OUTLIER_Z = 3.5
#: Score of an isolation forest above which a day stands out.
FOREST_SCORE = 0.6
_DESCRIPTIVE = "It is fitted to all of these days and describes them; it must not stand in a forecast."


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """Groups of like days.

    Attributes
    ----------
    chosen : how many groups; scores : ``groups`` and ``score`` of each number tried (BIC, less is better, or mean
        silhouette, more is better). rows : ``session``, ``cluster`` (0 to chosen - 1, by the mean of the first
        feature), and the features in their own units. centres : ``cluster``, ``n``, ``sufficient`` and the mean of each
        feature.
    missing : days left out because a feature is null.
    """

    n: int
    sufficient: bool
    missing: int
    method: str
    chosen: int
    scores: pl.DataFrame
    rows: pl.DataFrame
    centres: pl.DataFrame
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class RegimeStudy:
    """Regime of each day by the rules of `quant.regime`.

    Attributes
    ----------
    rows : ``session``, ``regime`` (name). table : of each regime ``n``, ``sufficient``, ``share``, ``change_mean``,
        ``change_median`` and ``range_pct_median`` of the days within it, percent.
    """

    n: int
    sufficient: bool
    rows: pl.DataFrame
    table: pl.DataFrame
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Anomalies:
    """Days that stand out.

    Attributes
    ----------
    rows : strangest first: ``session``, ``score`` (the larger, the stranger), ``flagged``, by the robust method also
        ``column`` and ``z`` (the largest in size and where), and the columns looked at. flagged : how many.
    """

    n: int
    sufficient: bool
    missing: int
    method: str
    flagged: int
    rows: pl.DataFrame
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """Swings near the last close, as `quant.swings` finds them; None where there is none.

    Attributes
    ----------
    close : the last. supports, resistances : nearest first, at most two each. rows : of every session, ``session``,
        ``close``, ``support_1``, ``support_2``, ``resistance_1``, ``resistance_2``, each known at that close.
    """

    n: int
    sufficient: bool
    close: float
    supports: tuple[float, ...]
    resistances: tuple[float, ...]
    rows: pl.DataFrame
    sentences: tuple[str, ...]


def _complete(days: pl.DataFrame, columns: Sequence[str], least: int) -> tuple[pl.DataFrame, np.ndarray, int]:
    """Days that have every column, their matrix, and how many do not."""
    for name in columns:
        if name not in days.columns:
            raise unknown("column of the days", name, [each for each in days.columns if days[each].dtype.is_numeric()])
    if not columns:
        raise BadInput("Name at least one column of the days to look at.")
    rows = days.select("session", *(pl.col(name).cast(pl.Float64).fill_nan(None) for name in columns)).drop_nulls()
    if rows.height < least:
        raise DataMissing(
            f"This study needs at least {least} days with {', '.join(columns)}; there were {rows.height}."
        )
    return rows, rows.select(columns).to_numpy(), days.height - rows.height


def clusters(
    days: pl.DataFrame,
    columns: Sequence[str] = DAY_FEATURES,
    *,
    method: Method = "mixture",
    most: int = 6,
    seed: int = 0,
) -> Clusters:
    """Groups of days that are alike in `columns`, each brought to mean 0 and standard deviation 1.

    Parameters
    ----------
    method : a mixture of normal distributions with full covariances, their number by the BIC (1 to `most`), or k-means,
        its number by the mean silhouette (2 to `most`); numbers that leave a group with fewer than 10 days are passed
        over where others do not. seed : of the starts, so the same days give the same groups.

    Raises
    ------
    DataMissing
        Fewer than 30 days with every column. BadInput : an unknown column or method.

    References
    ----------
    Schwarz (1978), Annals of Statistics 6, 461-464. Rousseeuw (1987), Journal of Computational and Applied Mathematics.
    """
    from sklearn.preprocessing import StandardScaler

    if method not in METHODS:
        raise unknown("method of clustering", str(method), METHODS)
    if not 2 <= most <= 12:
        raise BadInput(f"The largest number of groups lies between 2 and 12; was {most}.")
    rows, matrix, missing = _complete(days, columns, SUFFICIENT)
    scaled = StandardScaler().fit_transform(matrix)
    flat = [name for name, spread in zip(columns, np.ptp(scaled, axis=0), strict=True) if spread == 0]
    if flat:
        raise BadInput(f"All days have the same {', '.join(flat)}, which cannot tell them apart. Leave it out.")
    tried = [_grouped(scaled, method, count, seed) for count in range(1 if method == "mixture" else 2, most + 1)]
    # A group of a few days is an outlier with a name: such a number of groups is not chosen where another can be.
    fair = [each for each in tried if np.bincount(each[2]).min() >= LEAST_GROUP] or tried
    best = min(fair, key=lambda each: each[1] if method == "mixture" else -each[1])
    labels = _in_order(best[2], matrix[:, 0])
    found = rows.with_columns(cluster=pl.Series(labels, dtype=pl.Int64))
    centres = found.group_by("cluster").agg(pl.len().alias("n"), *(pl.col(name).mean() for name in columns))
    centres = centres.sort("cluster").with_columns((pl.col("n") >= SUFFICIENT).alias("sufficient"))
    scores = pl.DataFrame({"groups": [each[0] for each in tried], "score": [each[1] for each in tried]})
    return Clusters(
        rows.height, rows.height >= SUFFICIENT, missing, method, len(centres), scores,
        found.select("session", "cluster", *columns), centres.select("cluster", "n", "sufficient", *columns),
        _grouped_words(method, centres, missing),
    )  # fmt: skip


def _grouped(scaled: np.ndarray, method: str, count: int, seed: int) -> tuple[int, float, np.ndarray]:
    """Number of groups, their score, and the group of each row."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score
    from sklearn.mixture import GaussianMixture

    if method == "mixture":
        fitted = GaussianMixture(count, n_init=3, reg_covar=1e-4, random_state=seed, max_iter=300).fit(scaled)
        return count, float(fitted.bic(scaled)), np.asarray(fitted.predict(scaled))
    labels = KMeans(count, n_init=5, random_state=seed).fit_predict(scaled)
    score = float(silhouette_score(scaled, labels)) if 1 < len(np.unique(labels)) < len(scaled) else -1.0
    return count, score, np.asarray(labels)


def _in_order(labels: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Groups renumbered from 0 by the mean of `first`."""
    present, place = np.unique(labels, return_inverse=True)
    means = np.bincount(place, weights=first) / np.bincount(place)
    renamed = np.empty(len(present), dtype=np.int64)
    renamed[np.argsort(means, kind="stable")] = np.arange(len(present))
    return renamed[place]


def _grouped_words(method: str, centres: pl.DataFrame, missing: int) -> tuple[str, ...]:
    said = [f"{missing:,} days without every column are left out."] if missing else []
    by = "the BIC of a mixture of normal distributions" if method == "mixture" else "the mean silhouette of k-means"
    if len(centres) == 1:
        said.append(f"By {by} the days form one group: there is nothing to tell apart.")
    else:
        said.append(f"By {by} the days form {len(centres)} groups of {', '.join(map(str, centres['n']))} days.")
    if method == "mixture" and len(centres) > 1:
        said.append("Heavy tails alone make a mixture find a calm and a wild group; groups need not be kinds of days.")
    return (*said, _DESCRIPTIVE)


def regimes(days: pl.DataFrame) -> RegimeStudy:
    """Regime of every day at its close by the rules of `quant.regime` on the product's own closes; at least 50 days.

    Days stand in a row as they are: a hole in them is not filled. The first 49 have no regime and are left out.
    """
    known = days.filter(pl.col("close").is_not_null())
    if known.height < SLOW_SESSIONS:
        raise DataMissing(f"The regime needs at least {SLOW_SESSIONS} days with a close; there were {known.height}.")
    codes = regimes_of(known["close"].to_numpy())
    names = {int(each): each.label for each in Regime}
    rows = known.with_columns(code=pl.Series(codes, dtype=pl.Int64)).filter(pl.col("code") != UNKNOWN)
    table = pl.DataFrame({"regime": list(names.values())})
    measured = {name: _by_code(rows, name) for name in ("day_return_pct", "range_pct")}
    count = np.bincount(rows["code"].to_numpy(), minlength=len(names))
    table = table.with_columns(
        n=pl.Series(count, dtype=pl.Int64),
        sufficient=pl.Series(count >= SUFFICIENT),
        share=pl.Series(count / max(rows.height, 1)),
        change_mean=measured["day_return_pct"]["mean"],
        change_median=measured["day_return_pct"]["median"],
        range_pct_median=measured["range_pct"]["median"],
    )
    shown = rows.select("session", pl.col("code").replace_strict(names, return_dtype=pl.String).alias("regime"))
    last = shown["regime"][-1]
    shares = ", ".join(f"{name} {part:.0%}" for name, part in table.select("regime", "share").rows())
    said = f"The last day is {last}. Of all days: {shares}."
    same = "Changes and ranges are of the same days that the regime is read from, so wild days look wild by definition."
    return RegimeStudy(rows.height, rows.height >= SUFFICIENT, shown, table, (said, same))


def _by_code(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    values = rows[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return grouped_value_statistics(values, rows["code"].to_numpy(), len(Regime))


def anomalies(
    days: pl.DataFrame,
    columns: Sequence[str] = DAY_FEATURES,
    *,
    method: Literal["robust_z", "isolation_forest"] = "robust_z",
    seed: int = 0,
) -> Anomalies:
    """Days that stand out in `columns`.

    Parameters
    ----------
    method : ``robust_z``: ``0.6745 (x - median) / MAD``, the score of a day is the largest in size over the columns,
        and it stands out beyond 3.5. ``isolation_forest``: how few random cuts part a day from all others, standing out
        above a score of 0.6, as its authors do. seed : of the forest.

    Raises
    ------
    DataMissing
        Fewer than 30 days. BadInput : a column of which more than half of the values are one and the same.

    References
    ----------
    Iglewicz and Hoaglin (1993), How to Detect and Handle Outliers. Liu, Ting and Zhou (2008), IEEE ICDM, 413-422.
    """
    if method not in ("robust_z", "isolation_forest"):
        raise unknown("method to find anomalies by", str(method), ("robust_z", "isolation_forest"))
    rows, matrix, missing = _complete(days, columns, SUFFICIENT)
    if method == "robust_z":
        z = _robust_z(matrix, columns)
        score, worst = np.abs(z).max(axis=1), np.abs(z).argmax(axis=1)
        threshold = OUTLIER_Z
        extra: dict[str, Any] = {"column": np.asarray(columns)[worst], "z": z[np.arange(len(z)), worst]}
    else:
        from sklearn.ensemble import IsolationForest

        forest = IsolationForest(n_estimators=200, random_state=seed, n_jobs=1).fit(matrix)
        score, threshold, extra = -forest.score_samples(matrix), FOREST_SCORE, {}
    flagged = score > threshold
    found = rows.with_columns(
        score=pl.Series(score), flagged=pl.Series(flagged), **{k: pl.Series(v) for k, v in extra.items()}
    )
    found = found.select("session", "score", "flagged", *extra, *columns).sort(
        "score", "session", descending=[True, False]
    )
    count = int(flagged.sum())
    said = [f"{missing:,} days without every column are left out."] if missing else []
    said.append(f"{count:,} of {rows.height:,} days stand out ({count / rows.height:.1%}).")
    if method == "robust_z":
        chance = 1.0 - (1.0 - 0.000465) ** len(columns)
        said.append(f"Of normal days {chance:.2%} would; daily returns have heavier tails, so more do.")
    return Anomalies(rows.height, rows.height >= SUFFICIENT, missing, method, count, found, (*said, _DESCRIPTIVE))


def _robust_z(matrix: np.ndarray, columns: Sequence[str]) -> np.ndarray:
    median = np.median(matrix, axis=0)
    spread = np.median(np.abs(matrix - median), axis=0)
    flat = [name for name, each in zip(columns, spread, strict=True) if each == 0]
    if flat:
        raise BadInput(f"More than half of the values of {', '.join(flat)} are the same, so no robust z is defined.")
    return np.asarray(0.6745 * (matrix - median) / spread)


def levels(days: pl.DataFrame, *, symbol: str = "") -> Levels:
    """Supports and resistances at every close: swings of five sessions within the last 60, known two sessions later.

    Needs ``session``, ``open``, ``high``, ``low`` and ``close``.
    """
    rows = days.select("session", *("open", "high", "low", "close")).drop_nulls()
    if rows.height < 5:
        raise DataMissing(f"A swing needs at least 5 sessions; there were {rows.height}.")
    names = ("support_1", "support_2", "resistance_1", "resistance_2")
    found = (support_1, support_2, resistance_1, resistance_2)
    expressions = [each.alias(name) for name, each in zip(names, found, strict=True)]
    shown = evaluated(rows.with_columns(symbol=pl.lit(symbol)), expressions, ["session", "close"])
    last = shown.row(-1, named=True)
    supports = tuple(float(last[name]) for name in names[:2] if last[name] is not None)
    resistances = tuple(float(last[name]) for name in names[2:] if last[name] is not None)
    said = [
        _named("Supports below", supports, float(last["close"])),
        _named("Resistances above", resistances, float(last["close"])),
        "A level is a price at which a move turned before; that it will again is not tested here.",
    ]
    return Levels(
        rows.height, rows.height >= SWING_ROWS, float(last["close"]), supports, resistances, shown, tuple(said)
    )


def _named(what: str, found: tuple[float, ...], close: float) -> str:
    if not found:
        return f"{what} {close:,.2f}: none within {SWING_ROWS} sessions."
    told = " and ".join(f"{each:,.2f} ({each / close - 1.0:+.2%})" if close > 0 else f"{each:,.2f}" for each in found)
    return f"{what} {close:,.2f}: {told}."
