"""Combinatorial purged cross-validation: many paths through one history, for significance only.

Here a model is trained on what came after its test as well. That is no back-test: nothing is chosen or fitted for
production by it. It says how much of a walk-forward's result hangs on the one order in which history happened.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, FeatureUnavailable
from openbell.core.types import Panel
from openbell.quant.evaluation import information_coefficients
from openbell.research.combinations import Split, check_split, paths, splits

__all__ = ["PathScores", "Split", "check_split", "cpcv_scores", "label_keys", "paths", "splits", "spreads"]

Progress = Callable[[int, int, str], None]
DAYS_PER_YEAR = 365.25


class Predictor(Protocol):
    """What a fit gives: scores of the rows of a frame of features, NaN where it abstains."""

    def predict(self, frame: pl.DataFrame, /) -> np.ndarray:
        """Shape (rows,)."""
        ...


Fit = Callable[[pl.DataFrame, np.ndarray], Predictor]


@dataclass(frozen=True, slots=True, eq=False)
class PathScores:
    """What the paths say; each covers every session once, out of sample.

    Attributes
    ----------
    table : one row per path: ``path``, ``dates``, ``rank_ic`` (mean over dates), ``rank_ic_ir`` (per date, not
        annualised), ``periods`` and ``sharpe`` (annual, before costs) of the top less the bottom fifth, null where
        undefined.
    rank_ics : ``path``, ``session``, ``rank_ic``.
    spreads : ``path``, ``session``, ``spread``, on dates whose outcomes do not overlap.
    splits : ``split``, ``test_groups``, ``train_rows``, ``test_rows``, ``purged``, ``embargoed``, ``why`` (null, or why
        the model has no scores).
    """

    table: pl.DataFrame
    rank_ics: pl.DataFrame
    spreads: pl.DataFrame
    splits: pl.DataFrame


def label_keys(panel: Panel, label: str) -> pl.DataFrame:
    """What `splits` needs of a panel, row by row: a row without the label has no moment at which it is known."""
    known = pl.when(pl.col(label).is_not_null()).then(pl.col(f"{label}_known_at"))
    return panel.frame.select("session", "as_of", known.alias("label_known_at"))


def cpcv_scores(
    panel: Panel,
    label: str,
    chosen: Sequence[Split],
    fit: Fit,
    *,
    outcome: str | None = None,
    quantiles: int = 5,
    progress: Progress | None = None,
) -> PathScores:
    """Fit on each split, score its test, and judge every path.

    Parameters
    ----------
    panel : features as the model is to see them, with `label`. chosen : `splits` of its `label_keys`.
    fit : ``fit(features, target)`` gives a predictor. It is called once per split, on all its training rows; a model
        that reads the rows of a name in their order has no place here, since its sequences would cross the gaps.
    outcome : column that the top less the bottom earns; None takes the label (a rank earns ranks, no returns).
    quantiles : the names of a date are cut into so many; the first and the last are compared.

    Returns
    -------
    PathScores
        A split whose model lacks a feature has no scores and says why.

    Raises
    ------
    LeakFound
        From `check_split`, before anything is fitted.
    BadInput
        Where `chosen` is not every combination of its groups.
    """
    groups, test_groups = _shape(chosen)
    keys = label_keys(panel, label)
    for split in chosen:
        check_split(keys, split)
    features = panel.frame.select(panel.features)
    target = panel.frame[label].cast(pl.Float64).to_numpy()
    scores, described = [], []
    for split in chosen:
        found = _scored(features, target, split, fit)
        scores.append(found if isinstance(found, np.ndarray) else np.full(len(split.test), np.nan))
        described.append(_described(split, found if isinstance(found, str) else None))
        if progress is not None:
            progress(split.number + 1, len(chosen), f"groups {', '.join(map(str, split.test_groups))}")
    frame = panel.frame.select(
        "session", "as_of", pl.col(f"{label}_known_at").alias("known_at"), pl.col(outcome or label).alias("outcome")
    )
    judged = [_path(frame, at, row, chosen, scores, quantiles) for at, row in enumerate(paths(groups, test_groups))]
    tables, rank_ics, spreads = zip(*judged, strict=True)
    schema = {"path": pl.Int64, "dates": pl.Int64, "rank_ic": pl.Float64, "rank_ic_ir": pl.Float64}
    return PathScores(
        table=pl.DataFrame(list(tables), schema={**schema, "periods": pl.Int64, "sharpe": pl.Float64}),
        rank_ics=pl.concat(rank_ics),
        spreads=pl.concat(spreads),
        splits=pl.DataFrame(described, schema_overrides={"why": pl.String}),
    )


def _shape(chosen: Sequence[Split]) -> tuple[int, int]:
    """Number of groups and of test groups; refuses splits that do not make whole paths."""
    groups = max((max(each.test_groups) for each in chosen), default=-1) + 1
    test_groups = len(chosen[0].test_groups) if chosen else 0
    wanted = list(itertools.combinations(range(groups), test_groups))
    if not chosen or [each.test_groups for each in chosen] != wanted:
        raise BadInput(f"Paths need every combination of test groups in order; there were {len(chosen)} splits.")
    return groups, test_groups


def _scored(features: pl.DataFrame, target: np.ndarray, split: Split, fit: Fit) -> np.ndarray | str:
    try:
        return np.asarray(
            fit(features[split.train], target[split.train]).predict(features[split.test]), dtype=np.float64
        )
    except FeatureUnavailable as reason:
        return str(reason)


def _described(split: Split, why: str | None) -> dict[str, Any]:
    return {
        "split": split.number,
        "test_groups": list(split.test_groups),
        "train_rows": len(split.train),
        "test_rows": len(split.test),
        "purged": split.purged,
        "embargoed": split.embargoed,
        "why": why,
    }


def _path(
    frame: pl.DataFrame, at: int, row: np.ndarray, chosen: Sequence[Split], scores: list[np.ndarray], quantiles: int
) -> tuple[dict[str, Any], pl.DataFrame, pl.DataFrame]:
    """A path's figures, its rank ICs and its spreads."""
    taken = [(chosen[split], scores[split], chosen[split].group_of_test == group) for group, split in enumerate(row)]
    rows = np.concatenate([split.test[own] for split, _, own in taken])
    scored = frame[rows].with_columns(pl.Series("score", np.concatenate([score[own] for _, score, own in taken])))
    ics = information_coefficients(scored).select("session", "rank_ic")
    spread = spreads(scored, quantiles)
    known = ics["rank_ic"].drop_nulls().to_numpy()
    deviation = float(known.std(ddof=1)) if known.size > 1 else 0.0
    table = {
        "path": at,
        "dates": int(known.size),
        "rank_ic": float(known.mean()) if known.size else None,
        "rank_ic_ir": float(known.mean()) / deviation if deviation > 0 else None,
        "periods": spread.height,
        "sharpe": _annual_sharpe(spread),
    }
    number = pl.lit(at, dtype=pl.Int64).alias("path")
    return table, ics.select(number, "session", "rank_ic"), spread.select(number, "session", "spread")


def spreads(scored: pl.DataFrame, quantiles: int = 5) -> pl.DataFrame:
    """Mean outcome of the highest less the lowest scores, on dates whose outcomes do not overlap.

    Parameters
    ----------
    scored : ``session``, ``as_of``, ``known_at``, ``score``, ``outcome``; a row that lacks one of the last is left out.

    Returns
    -------
    polars.DataFrame
        ``session``, ``spread``, from the first date on each one that is decided when the one before is known. Dates
        with fewer names than quantiles are left out.
    """
    pairs = scored.with_columns(pl.col("score", "outcome").cast(pl.Float64).fill_nan(None)).drop_nulls(
        ["score", "outcome"]
    )
    share = (pl.col("score").rank("average").over("session") - 0.5) / pl.len().over("session")
    by_date = (
        pairs.filter(pl.len().over("session") >= quantiles)
        .with_columns(share.alias("share"))
        .group_by("session")
        .agg(
            pl.col("as_of").first(),
            pl.col("known_at").max(),
            (
                pl.col("outcome").filter(pl.col("share") > 1 - 1 / quantiles).mean()
                - pl.col("outcome").filter(pl.col("share") < 1 / quantiles).mean()
            ).alias("spread"),
        )
        .drop_nulls("spread")
        .sort("session")
    )
    kept, free_at = [], None
    for as_of, known_at in by_date.select("as_of", "known_at").iter_rows():
        kept.append(free_at is None or as_of >= free_at)
        free_at = known_at if kept[-1] else free_at
    return by_date.filter(pl.Series(kept, dtype=pl.Boolean)).select("session", "spread")


def _annual_sharpe(spread: pl.DataFrame) -> float | None:
    """Sharpe ratio of periods that do not overlap, by the periods a calendar year has; None where undefined."""
    if spread.height < 3:
        return None
    values, sessions = spread["spread"].to_numpy(), spread["session"]
    deviation = float(values.std(ddof=1))
    per_year = (spread.height - 1) / ((sessions[-1] - sessions[0]).days / DAYS_PER_YEAR)
    return float(values.mean() / deviation * math.sqrt(per_year)) if deviation > 1e-12 else None
