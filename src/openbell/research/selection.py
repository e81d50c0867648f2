"""Who of several entrants may be champion: gates that hold the error rate first, a score among those who pass them.

Desk-neutral: a desk brings per-session returns in excess of its baseline, its criteria and its thresholds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from openbell.core.declare import Criterion, Threshold
from openbell.core.errors import BadInput
from openbell.quant.comparison import ConfidenceSet, SuperiorAbility, confidence_set, paired, superior_ability
from openbell.quant.deflation import annualised, deflated_sharpe, effective_trials, extended_trials
from openbell.quant.overfitting import Overfitting, backtest_overfitting
from openbell.quant.significance import MINIMUM_BLOCKS, SuperiorSet, mean_block, stepm
from openbell.research.gates import (
    BEATS_BASELINE,
    BEATS_INCUMBENT,
    DEFLATED,
    SESSIONS_PER_YEAR,
    limit_gate,
    measured,
    regime_consistency,
    step_gate,
    stopped,
    threshold_gates,
    weighted_score,
)

__all__ = ["Rules", "Selection", "regime_consistency", "select", "weighted_score"]

#: Blocks of `quant.overfitting`: 16 give 12,870 splits.
PBO_BLOCKS = 16


@dataclass(frozen=True)
class Rules:
    """What a champion must hold, fixed before the first fit.

    Attributes
    ----------
    criteria, thresholds : of the desk. alpha : family-wise error of each StepM test, one-sided.
    replications, block_horizons, seed : of the stationary bootstrap. horizon : sessions between rebalances.
    deflated_at_least : the deflated Sharpe ratio of active returns that a champion needs, a probability.
    """

    criteria: tuple[Criterion, ...]
    thresholds: tuple[Threshold, ...]
    alpha: float = 0.01
    replications: int = 2000
    horizon: int = 5
    block_horizons: float = 2.0
    deflated_at_least: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        total = sum(each.weight for each in self.criteria)
        if not self.criteria or abs(total - 1.0) > 1e-9 or any(not each.weight >= 0 for each in self.criteria):
            raise BadInput(f"The weights of the criteria must be at least 0 and sum to 1; their sum was {total}.")
        for each in self.criteria:
            if not np.isfinite([each.worst, each.best]).all() or each.worst == each.best:
                raise BadInput(f"`{each.measure}` needs two different ends; they were {each.worst} and {each.best}.")
        for threshold in self.thresholds:
            bounds = [bound for bound in (threshold.at_least, threshold.at_most) if bound is not None]
            if not bounds or not np.isfinite(bounds).all():
                raise BadInput(f"The threshold on `{threshold.measure}` needs a finite `at_least` or `at_most`.")
        if not 0.0 <= self.deflated_at_least < 1.0:
            raise BadInput(f"`deflated_at_least` is a probability below 1; was {self.deflated_at_least}.")

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of all measures that the criteria and thresholds look at."""
        criteria = [each.measure for each in self.criteria]
        return tuple(dict.fromkeys([*criteria, *(each.measure for each in self.thresholds)]))


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """What came out, and what stopped whom.

    Attributes
    ----------
    champion : the entrant to promote; None where nobody may be. stays : the champion in office is among the entrants,
        passes every gate, and nobody beat it: production is right as it is.
    leaderboard : one row per entrant, best first: ``entrant``, ``statistic``, ``p_value``, ``survives`` (StepM against
        the baseline; p-value family-wise), ``deflated_sharpe`` (probability, null for a constant), ``weighted_score``,
        ``eligible`` (passed every gate it was put to), ``rank`` (from 1; the eligible first, each group by score).
    gates : one row per entrant and gate, in the order of the gates: ``entrant``, ``gate``, ``value``, ``limit``,
        ``passed``, ``why``. Every gate is evaluated for every entrant, whatever stopped it before.
    why : sentences. superior, against_incumbent : the two StepM tests; None where there was none.
    pbo, spa, mcs : reported, never a gate; None where they cannot be computed or were not asked for.
    trials : ``tries`` (all ever made), ``seen`` (those with returns), ``effective_seen``, ``effective`` (what deflation
        used), ``variance`` (of a Sharpe ratio without skill, per session), ``variance_across_trials`` (of those seen),
        ``expected_maximum_sharpe`` (annual).
    """

    champion: str | None
    leaderboard: pl.DataFrame
    gates: pl.DataFrame
    why: tuple[str, ...]
    superior: SuperiorSet | None
    against_incumbent: SuperiorSet | None
    pbo: Overfitting | None
    spa: SuperiorAbility | None
    mcs: ConfidenceSet | None
    trials: Mapping[str, Any]
    stays: bool = False


def select(
    names: Sequence[str],
    active: np.ndarray,
    measures: pl.DataFrame,
    rules: Rules,
    *,
    incumbent: str | np.ndarray | None = None,
    trial_returns: np.ndarray | None = None,
    tries: int | None = None,
    reported: bool = True,
) -> Selection:
    """Choose a champion, or nobody and why.

    1. StepM over all entrants: the null is that none has a positive mean active return. 2. The desk's thresholds.
    3. The deflated Sharpe ratio of active returns, for the effective number of all trials. 4. The weighted score ranks
    those who passed. 5. Paired StepM against the champion in office. The first gate alone holds the family-wise
    error at `rules.alpha`; the others can only take away.

    Parameters
    ----------
    names : the k entrants. active : their returns after costs in excess of the baseline's, session by session on common
        sessions, oldest first, finite, shape (n, k).
    measures : ``entrant`` and every measure of the rules; exactly one row for each entrant, in any order.
    incumbent : active returns of the champion in office on the same sessions, shape (n,); or its name, where it is
        among the entrants: then it is not paired with itself.
    trial_returns : active returns of earlier trials on the same sessions, shape (n, j). tries : all trials in the
        ledger; those without returns are taken to be as alike as those with.
    reported : whether to compute PBO, SPA and the confidence set, which decide nothing.

    Raises
    ------
    BadInput
        On returns that are not finite, names given twice, measures that do not fit, or rules without a number.
    """
    matrix, table = _checked(names, active, measures)
    score = weighted_score(table, rules.criteria)
    limits = threshold_gates(names, table, rules.thresholds)
    office, itself = _office(names, matrix, incumbent)
    bootstrap: dict[str, Any] = {
        name: getattr(rules, name) for name in ("horizon", "replications", "block_horizons", "seed")
    }
    few = _too_few(len(matrix), rules)
    superior = None if few else stepm(matrix, names, alpha=rules.alpha, **bootstrap)
    deflation, trials = _deflation(matrix, trial_returns, tries)
    gates = [
        step_gate(names, BEATS_BASELINE, superior, "the baseline", few),
        *limits,
        limit_gate(names, DEFLATED, deflation, at_least=rules.deflated_at_least),
    ]
    against = None
    others = [at for at, name in enumerate(names) if name != itself]
    if office is not None and others:
        own = [names[at] for at in others]
        against = None if few else paired(matrix[:, others], office, own, alpha=rules.alpha, **bootstrap)
        gates.append(step_gate(own, BEATS_INCUMBENT, against, "the champion in office", few))
    every = pl.concat(gates)
    board = _leaderboard(names, superior, deflation, score, every)
    eligible = board.filter("eligible")["entrant"].to_list()
    champion = next((name for name in eligible if name != itself), None)
    stays = champion is None and itself in eligible
    why = _why(names, champion, itself if stays else None, board, every) + _unmeasured(table, rules.criteria)
    pbo, spa, mcs = _reported(matrix, names, bootstrap) if reported and not few else (None, None, None)
    return Selection(champion, board, every, tuple(why), superior, against, pbo, spa, mcs, trials, stays)


def _too_few(sessions: int, rules: Rules) -> str:
    """Why nobody can be chosen on so few sessions; empty where they are enough."""
    block = mean_block(rules.horizon, sessions, rules.block_horizons)
    if sessions >= MINIMUM_BLOCKS * block:
        return ""
    return (
        f"{sessions} sessions are too few for a mean block of {block}: at least {MINIMUM_BLOCKS * block} are needed "
        "before anybody can be told from luck."
    )


def _checked(names: Sequence[str], active: np.ndarray, measures: pl.DataFrame) -> tuple[np.ndarray, pl.DataFrame]:
    """Active returns, and the measures in the order of the names."""
    matrix = np.asarray(active, dtype=np.float64)
    if not names or matrix.ndim != 2 or matrix.shape[1] != len(names):
        raise BadInput(f"`active` needs a column for each of the {len(names)} entrants; its shape was {matrix.shape}.")
    if len(set(names)) != len(names):
        raise BadInput(f"Each entrant may be there once; `{max(names, key=list(names).count)}` was there twice.")
    if not np.isfinite(matrix).all():
        bad = [name for name, column in zip(names, matrix.T, strict=True) if not np.isfinite(column).all()]
        raise BadInput(
            f"Active returns must be finite; those of {', '.join(bad[:5])} were not. Keep the common sessions, and "
            "leave out an entrant that failed."
        )
    if "entrant" not in measures.columns or sorted(measures["entrant"].to_list()) != sorted(names):
        raise BadInput("`measures` needs the column `entrant` with exactly one row for each entrant.")
    order = pl.DataFrame({"entrant": list(names)}, schema={"entrant": pl.String})
    return matrix, order.join(measures, on="entrant", how="left", maintain_order="left")


def _office(
    names: Sequence[str], matrix: np.ndarray, incumbent: str | np.ndarray | None
) -> tuple[np.ndarray | None, str | None]:
    """Active returns of the champion in office, and its name where it is an entrant."""
    if incumbent is None:
        return None, None
    if isinstance(incumbent, str):
        if incumbent not in names:
            raise BadInput(
                f"The champion in office `{incumbent}` is not among the entrants; hand in its active returns instead."
            )
        return matrix[:, list(names).index(incumbent)], incumbent
    series = np.asarray(incumbent, dtype=np.float64)
    if series.shape != (len(matrix),) or not np.isfinite(series).all():
        raise BadInput(
            f"The champion in office needs one finite active return for each of the {len(matrix)} sessions; "
            f"its shape was {series.shape}."
        )
    return series, None


def _deflation(
    matrix: np.ndarray, trial_returns: np.ndarray | None, tries: int | None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Deflated Sharpe ratio of each entrant, and the account of the trials behind it."""
    seen = matrix if trial_returns is None else np.hstack([matrix, np.asarray(trial_returns, dtype=np.float64)])
    total = max(tries or 0, seen.shape[1])
    effective_seen = effective_trials(seen)
    effective = extended_trials(effective_seen, seen.shape[1], total)
    deflated = deflated_sharpe(matrix, trials=effective)
    ratios = deflated_sharpe(seen, trials=1.0).moments.sharpe
    varying = ratios[np.isfinite(ratios)]
    return deflated.probability, {
        "tries": total,
        "seen": seen.shape[1],
        "effective_seen": effective_seen,
        "effective": effective,
        "variance": deflated.variance,
        "variance_across_trials": float(varying.var(ddof=1)) if varying.size > 1 else None,
        "expected_maximum_sharpe": float(annualised(deflated.benchmark, SESSIONS_PER_YEAR)),
    }


def _leaderboard(
    names: Sequence[str],
    superior: SuperiorSet | None,
    deflation: np.ndarray,
    score: np.ndarray,
    gates: pl.DataFrame,
) -> pl.DataFrame:
    """Best first; a tie goes to the larger statistic, then to the name, never to the order of entry."""
    k = len(names)
    eligible = gates.group_by("entrant").agg(pl.col("passed").all().alias("eligible"))
    frame = pl.DataFrame(
        {
            "entrant": list(names),
            "statistic": superior.statistic if superior is not None else np.full(k, np.nan),
            "p_value": superior.p_value if superior is not None else np.full(k, np.nan),
            "survives": superior.survives if superior is not None else np.zeros(k, dtype=bool),
            "deflated_sharpe": deflation,
            "weighted_score": score,
        }
    ).with_columns(pl.col("statistic", "p_value", "deflated_sharpe").fill_nan(None))
    return (
        frame.join(eligible, on="entrant", how="left", maintain_order="left")
        # What differs by rounding alone is a tie: sums over columns depend on where a column stands.
        .with_columns(
            pl.col("weighted_score").round(12).alias("_score"),
            pl.col("statistic").round_sig_figs(9).alias("_statistic"),
        )
        .sort(
            ["eligible", "_score", "_statistic", "entrant"],
            descending=[True, True, True, False],
            nulls_last=True,
        )
        .drop("_score", "_statistic")
        .with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("rank"))
    )


def _why(
    names: Sequence[str],
    champion: str | None,
    stays: str | None,
    board: pl.DataFrame,
    gates: pl.DataFrame,
) -> list[str]:
    """Who was chosen, and which gate stopped whom and how many."""
    eligible = int(board["eligible"].sum())
    first = f"{eligible} of {len(names)} entrants passed every gate"
    if champion is not None:
        row = board.row(by_predicate=pl.col("entrant") == champion, named=True)
        said = [
            f"`{champion}` is the champion: {first}, and it has the best weighted score of those that may be promoted "
            f"({row['weighted_score']:.3f}); deflated Sharpe ratio {row['deflated_sharpe']:.3f}."
        ]
    elif stays is not None:
        said = [f"The champion in office `{stays}` stays: it passed every gate, and nobody who did is better than it."]
    else:
        said = [f"There is no champion: {first}."]
    for gate, those in stopped(gates):
        who = ", ".join(f"`{name}`" for name in those[:5])
        more = f" and {len(those) - 5} more" if len(those) > 5 else ""
        said.append(f"The gate `{gate}` stopped {len(those)} of {len(names)}: {who}{more}.")
    return said


def _unmeasured(table: pl.DataFrame, criteria: Sequence[Criterion]) -> list[str]:
    """What scored 0 because there was nothing to score."""
    said = []
    for each in criteria:
        absent = table.filter(np.isnan(measured(table, each.measure)))["entrant"].sort().to_list()
        if absent:
            who = ", ".join(f"`{name}`" for name in absent[:5]) + (" …" if len(absent) > 5 else "")
            said.append(f"{len(absent)} entrants have no `{each.measure}` and score 0 there: {who}.")
    return said


def _reported(
    matrix: np.ndarray, names: Sequence[str], bootstrap: Mapping[str, Any]
) -> tuple[Overfitting | None, SuperiorAbility, ConfidenceSet]:
    """What is said and decides nothing."""
    able = matrix.shape[1] > 1 and len(matrix) >= 2 * PBO_BLOCKS
    return (
        backtest_overfitting(matrix, blocks=PBO_BLOCKS) if able else None,
        superior_ability(matrix, **bootstrap),
        confidence_set(matrix, names, **bootstrap),
    )
