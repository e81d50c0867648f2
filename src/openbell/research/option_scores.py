"""The honest scoreboard of the options desk: every strategy over the same days, after costs, with n and interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from openbell.quant.intervals import MINIMUM_BLOCKS as BOOTSTRAP_BLOCKS
from openbell.quant.intervals import Estimate, estimate, mean_block, wilson
from openbell.quant.reliability import scores
from openbell.quant.significance import SuperiorSet, stepm
from openbell.research.counterfactuals import utility as growth
from openbell.research.option_walk import CONSTANT, Walk
from openbell.research.stage_one import Outcomes

#: Sessions that two neighbouring decisions may share an outcome for: the longest holding of the grid, 45 days.
HORIZON = 31
SESSIONS_PER_YEAR = 252.0


@dataclass(frozen=True, slots=True, eq=False)
class Strategy:
    """What one way to choose did on each test day.

    Attributes
    ----------
    kind : ``candidate`` or ``baseline``. choice : (m,) position of the structure, -1 for no trade.
    returns : (m,) result per unit of maximum loss, 0 where nothing was traded. utility : (m,) growth of the account
        per unit of risk. held : (m,) sessions. skipped : days on which the chosen structure could not be had.
    """

    name: str
    kind: str
    choice: np.ndarray
    returns: np.ndarray
    utility: np.ndarray
    held: np.ndarray
    skipped: int


@dataclass(frozen=True, slots=True, eq=False)
class Scoreboard:
    """Frames with everything a report shows, and who survived.

    Attributes
    ----------
    strategies : one row each, see `_strategy_row`. classification : per candidate, accuracy and log-loss beside their
        base rates. structures : per structure, what trading it every day made, its support as the best in hindsight
        and how often the leading candidate chose it. paths : ``session`` and the utility of each strategy per day.
    test : StepM of the candidates against no trade; None where the days are too few, and `why` says it.
    champion : the survivor with the largest studentised mean, or None.
    """

    strategies: pl.DataFrame
    classification: pl.DataFrame
    structures: pl.DataFrame
    paths: pl.DataFrame
    test: SuperiorSet | None
    champion: str | None
    why: tuple[str, ...]


def chosen(name: str, kind: str, choice: np.ndarray, realised: np.ndarray, held: np.ndarray, f: float) -> Strategy:
    """The strategy that took `choice` (m,) on each day, of results `realised` (m, s) and holding times `held` (m, s).

    A structure that could not be had on the day is no trade, and counted.
    """
    wanted = choice >= 0
    at = np.maximum(choice, 0)
    result = realised[np.arange(len(choice)), at]
    had = wanted & np.isfinite(result)
    returns = np.where(had, result, 0.0)
    sessions = np.where(had, held[np.arange(len(choice)), at], 0.0)
    skipped = int((wanted & ~had).sum())
    return Strategy(name, kind, np.where(had, choice, -1), returns, growth(returns, f), sessions, skipped)


def mean_of_all(realised: np.ndarray, held: np.ndarray, risk_fraction: float) -> Strategy:
    """What drawing the structure at random makes in expectation: the mean over those that could be had."""
    has = np.isfinite(realised)
    count = np.maximum(has.sum(axis=1), 1)
    returns = np.where(has, realised, 0.0).sum(axis=1) / count
    utility = np.where(has, growth(np.where(has, realised, 0.0), risk_fraction), 0.0).sum(axis=1) / count
    sessions = np.where(has, held, 0.0).sum(axis=1) / count
    return Strategy("random", "baseline", np.where(has.any(axis=1), 0, -1), returns, utility, sessions, 0)


def strategies(
    walked: Walk,
    outcomes: Outcomes,
    realised: np.ndarray,
    held: np.ndarray,
    *,
    risk_fraction: float,
    rules: np.ndarray | None = None,
) -> list[Strategy]:
    """Every candidate and baseline over the test rows.

    Parameters
    ----------
    realised, held : (n, s) result and sessions of each structure with the parameters that stage 2 chose that day.
    rules : (n,) position of the structure that the rules ladder names, -1 for none.
    """
    rows = walked.rows
    result, sessions = realised[rows], held[rows]
    found = []
    for name, each in walked.candidates.items():
        if each.why:
            continue
        best = each.expected.argmax(axis=1)
        worth = each.expected.max(axis=1) > 0
        if name == CONSTANT:
            found.append(chosen("best constant", "baseline", best, result, sessions, risk_fraction))
        else:
            found.append(chosen(name, "candidate", np.where(worth, best, -1), result, sessions, risk_fraction))
    if rules is not None:
        found.append(chosen("rules ladder", "baseline", rules[rows], result, sessions, risk_fraction))
    found.append(mean_of_all(result, sessions, risk_fraction))
    return found


def scoreboard(
    walked: Walk,
    outcomes: Outcomes,
    sessions: Sequence[object],
    realised: np.ndarray,
    held: np.ndarray,
    *,
    risk_fraction: float = 0.02,
    rules: np.ndarray | None = None,
    alpha: float = 0.01,
    replications: int = 2000,
    seed: int = 0,
) -> Scoreboard:
    """Judge every strategy over the same test days; arguments as for `strategies`.

    Parameters
    ----------
    sessions : (n,) decision sessions. alpha : family-wise error of StepM, of the candidates against no trade.

    Notes
    -----
    Neighbouring decisions share most of their holding time, so all intervals and tests resample blocks of twice 31
    sessions. Regret is what the best structure in hindsight made, with the parameters of the day, less what was made.
    """
    every = strategies(walked, outcomes, realised, held, risk_fraction=risk_fraction, rules=rules)
    result = realised[walked.rows]
    best = np.where(np.isfinite(result), result, -np.inf).max(axis=1)
    hindsight = growth(np.where(np.isfinite(best), best, 0.0), risk_fraction)
    test, why = _tested([each for each in every if each.kind == "candidate"], alpha, replications, seed)
    rows = [_strategy_row(each, hindsight, test, replications, seed) for each in every]
    days = [sessions[row] for row in walked.rows]
    leader = test.names[int(np.argmax(test.statistic))] if test is not None else None
    return Scoreboard(
        strategies=pl.DataFrame(rows, infer_schema_length=None),
        classification=_classification(walked, outcomes),
        structures=_structures(walked, outcomes, realised, held, every, leader, risk_fraction, replications, seed),
        paths=pl.DataFrame({"session": days, **{each.name: each.utility for each in every}, "hindsight": hindsight}),
        test=test,
        champion=test.best if test is not None else None,
        why=why,
    )


def _tested(
    candidates: Sequence[Strategy], alpha: float, replications: int, seed: int
) -> tuple[SuperiorSet | None, tuple[str, ...]]:
    if not candidates:
        return None, ("No view: no candidate could be fitted.",)
    matrix = np.column_stack([each.utility for each in candidates])
    needed = BOOTSTRAP_BLOCKS * mean_block(HORIZON, len(matrix))
    if len(matrix) < needed:
        return None, (f"No view: {len(matrix)} test days are too few; blocks of two holding times need {needed}.",)
    found = stepm(
        matrix, [each.name for each in candidates], horizon=HORIZON, alpha=alpha, replications=replications, seed=seed
    )
    head = (
        f"The champion is `{found.best}`: it earned more than no trade after costs, adjusted for {found.tries} tries."
        if found.best is not None
        else "No view: no candidate earned more than no trade after costs that luck could not explain."
    )
    test = (
        f"StepM against no trade at {alpha:.1%}, one-sided: {found.tries} candidates on {found.dates} days, mean block "
        f"{found.block_sessions} sessions, {replications:,} replications."
    )
    each = [
        f"`{name}`: mean utility {found.mean[at]:+.4f} per unit of risk (95 %, bootstrap-t, {found.lower[at]:+.4f} to "
        f"{found.upper[at]:+.4f}), studentised {found.statistic[at]:+.2f}, family-wise p {found.p_value[at]:.3f}."
        for at, name in enumerate(found.names)
    ]
    return found, (head, test, *each)


def _interval(values: np.ndarray, replications: int, seed: int) -> Estimate:
    return estimate(values, block=mean_block(HORIZON, len(values)), replications=min(replications, 1000), seed=seed)


def sharpe(returns: np.ndarray, held: np.ndarray) -> float | None:
    """Mean over deviation of single trades, times the root of how many of their length fit into a year."""
    if len(returns) < 2 or not returns.std(ddof=1) > 0 or not held.mean() > 0:
        return None
    return float(returns.mean() / returns.std(ddof=1) * math.sqrt(SESSIONS_PER_YEAR / held.mean()))


def _strategy_row(
    each: Strategy, hindsight: np.ndarray, test: SuperiorSet | None, replications: int, seed: int
) -> dict[str, object]:
    traded = each.choice >= 0
    wins = int((each.returns[traded] > 0).sum())
    low, high = wilson(wins, int(traded.sum()))
    utility = _interval(each.utility, replications, seed)
    regret = _interval(hindsight - each.utility, replications, seed)
    at = test.names.index(each.name) if test is not None and each.name in test.names else None
    return {
        "strategy": each.name,
        "kind": each.kind,
        "days": len(each.utility),
        "trades": int(traded.sum()),
        "skipped": each.skipped,
        "win_rate": wins / traded.sum() if traded.any() else None,
        "win_rate_low": low,
        "win_rate_high": high,
        "mean_return": float(each.returns[traded].mean()) if traded.any() else None,
        "mean_utility": utility.value,
        "utility_low": utility.low,
        "utility_high": utility.high,
        "mean_regret": regret.value,
        "regret_low": regret.low,
        "regret_high": regret.high,
        "held_sessions": float(each.held[traded].mean()) if traded.any() else None,
        "sharpe": sharpe(each.returns[traded], each.held[traded]),
        "p_value": float(test.p_value[at]) if test is not None and at is not None else None,
        "survives": bool(test.survives[at]) if test is not None and at is not None else None,
    }


def _classification(walked: Walk, outcomes: Outcomes) -> pl.DataFrame:
    """Accuracy and log-loss on the hindsight labels of the test rows, each beside what the base rates alone reach."""
    best = outcomes.best[walked.rows]
    known = best >= 0
    rates = walked.candidates[CONSTANT].probabilities[known] if CONSTANT in walked.candidates else None
    rows = []
    for name, each in walked.candidates.items():
        if each.why or name == CONSTANT or not known.any():
            continue
        given, label = each.probabilities[known], best[known]
        order = np.argsort(-given, axis=1, kind="stable")[:, :3]
        hits, top = int((order[:, 0] == label).sum()), int((order == label[:, None]).any(axis=1).sum())
        found = scores(given, label)
        low, high = wilson(hits, len(label))
        top_low, top_high = wilson(top, len(label))
        row = {
            "candidate": name, "n": len(label), "accuracy": hits / len(label), "accuracy_low": low,
            "accuracy_high": high, "top3": top / len(label), "top3_low": top_low, "top3_high": top_high,
            "log_loss": found.log_loss, "calibration_error": found.calibration_error,
            "train_seconds": float(np.median(each.seconds)), "inference_p95_ms": each.p95_ms,
        }  # fmt: skip
        rows.append(row | (_base(rates, label) if rates is not None else {}))
    return pl.DataFrame(rows, infer_schema_length=None)


def _base(rates: np.ndarray, label: np.ndarray) -> dict[str, float]:
    """What the class shares of the training rows reach, as they were known at each forecast."""
    order = np.argsort(-rates, axis=1, kind="stable")[:, :3]
    return {
        "base_accuracy": float((order[:, 0] == label).mean()),
        "base_top3": float((order == label[:, None]).any(axis=1).mean()),
        "base_log_loss": scores(rates, label).log_loss,
    }


def _structures(
    walked: Walk,
    outcomes: Outcomes,
    realised: np.ndarray,
    held: np.ndarray,
    every: Sequence[Strategy],
    leader: str | None,
    risk_fraction: float,
    replications: int,
    seed: int,
) -> pl.DataFrame:
    """What each structure made, traded on every test day, and how often it was chosen and was the best."""
    rows = walked.rows
    best = outcomes.best[rows]
    choice: Mapping[str, np.ndarray] = {each.name: each.choice for each in every}
    found = []
    for at, name in enumerate(outcomes.structures):
        result, sessions = realised[rows, at], held[rows, at]
        had = np.isfinite(result)
        wins = int((result[had] > 0).sum())
        low, high = wilson(wins, int(had.sum()))
        utility = _interval(growth(result[had], risk_fraction), replications, seed) if had.any() else None
        row = {
            "structure": name, "n": int(had.sum()), "win_rate": wins / had.sum() if had.any() else None,
            "win_rate_low": low, "win_rate_high": high,
            "mean_return": float(result[had].mean()) if had.any() else None,
            "mean_utility": utility.value if utility else None, "utility_low": utility.low if utility else None,
            "utility_high": utility.high if utility else None, "sharpe": sharpe(result[had], sessions[had]),
            "held_sessions": float(sessions[had].mean()) if had.any() else None,
            "best_in_hindsight": int((best == at).sum()),
            "chosen": int((choice[leader] == at).sum()) if leader in choice else 0,
        }  # fmt: skip
        found.append(row)
    return pl.DataFrame(found, infer_schema_length=None)
