"""A search for how signals are best followed, on the first part of the past, and one look at what it is worth after."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, DataMissing, unknown
from openbell.core.hashing import digest, frame_digest
from openbell.quant.deflation import Deflated, deflated_sharpe, effective_trials, extended_trials
from openbell.research.signal_backtest import SIGNALS, Policy, SignalBacktest, backtest
from openbell.store.trials import Trial

if TYPE_CHECKING:
    from openbell.store.trials import Trials

Progress = Callable[[int, int, str], None]

DESK = "signals"
#: What is searched where nothing else is asked for: names of `Policy`, and ``horizon_bars`` of its rules.
GRID: Mapping[str, Sequence[Any]] = {
    "min_confidence": (0.4, 0.5, 0.6, 0.7),
    "require_single": (True, False),
    "barrier": (1.0, 2.0),
    "min_risk_reward": (1.0, 2.0),
}
#: Resamples behind the interval of each trial; the chosen one and the look at the rest have those asked for.
_ROUGH = 200
#: A way of following that traded less often is not eligible: its Sharpe ratio is noise.
LEAST_TRADES = 30


@dataclass(frozen=True, slots=True, eq=False)
class SignalSearch:
    """What a search found, and what became of it.

    Attributes
    ----------
    trials : a row per trial in order: its parameters, ``trades``, ``total_return``, ``sharpe`` with ``_low`` and
        ``_high``, ``max_drawdown``, ``eligible``, ``chosen``; all on the first part.
    chosen : the policy with the largest Sharpe ratio of those that are eligible; the one given, where none is.
    found : its back-test on the first part, which is kinder than the future. judged : on the rest, looked at once.
    deflated : of the Sharpe ratio on the first part, for all trials by how alike their returns are; None without one.
    split : first session of the rest. looks : how often this rest had been looked at before, by the ledger.
    why : sentences.
    """

    trials: pl.DataFrame
    chosen: Policy
    found: SignalBacktest
    judged: SignalBacktest
    deflated: Deflated | None
    split: dt.date
    looks: int
    why: tuple[str, ...]


def search(
    forecasts: pl.DataFrame,
    bars: pl.DataFrame,
    policy: Policy,
    *,
    ledger: Trials,
    at: dt.datetime,
    grid: Mapping[str, Sequence[Any]] | None = None,
    first_share: float = 0.6,
    least_trades: int = LEAST_TRADES,
    replications: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
    **beside: Any,
) -> SignalSearch:
    """Try every combination of `grid` on the first part of the sessions, and judge the best one on the rest.

    Parameters
    ----------
    forecasts, bars, policy, beside : as for `signal_backtest.backtest`. In the first part no bar of the rest exists.
    ledger, at : every combination is recorded before the first of them is run, and the look at the rest before it.
    grid : values by name of a parameter of `Policy`, or ``horizon_bars``; None takes `GRID`.
    first_share : part of the sessions of decisions that is searched. least_trades : fewer are not eligible.

    Raises
    ------
    BadInput
        On an unknown name or an empty grid. DataMissing : where a part has no session of decisions.
    """
    ways = _combinations(policy, GRID if grid is None else grid)
    split = _split(forecasts, first_share)
    before, after = pl.col("session") < split, pl.col("session") >= split
    searched, rest = forecasts.filter(before), forecasts.filter(after)
    seen, hidden = frame_digest(searched), frame_digest(rest)
    model = str(forecasts["model"][0])
    tried = [_trial(model, way.parameters, seen, changes) for changes, way in [*ways, ({}, policy)]]
    ledger.record(tried, at=at)
    done, known = [], bars.filter(before)
    for number, (changes, way) in enumerate(ways, start=1):
        rough = min(_ROUGH, replications)
        done.append(backtest(searched, known, way, replications=rough, seed=seed, **{**beside, "beside": False}))
        if progress is not None:
            progress(number, len(ways), ", ".join(f"{name} {value}" for name, value in changes.items()))
    table, best = _ranked(ways, done, least_trades)
    chosen = policy if best is None else ways[best][1]
    found = backtest(searched, known, chosen, replications=replications, seed=seed, **beside)
    looks = int((ledger.table(DESK)["data"] == hidden).sum())
    ledger.record([_trial(model, chosen.parameters, hidden, {"judged": True})], at=at)
    judged = backtest(rest, bars, chosen, replications=replications, seed=seed, tries=1 + looks, **beside)
    deflated = _deflated(done, found, ledger.count(DESK, "backtest"))
    why = _why(found, judged, deflated, best, len(ways), looks, split)
    return SignalSearch(table, chosen, found, judged, deflated, split, looks, why)


def tried(forecasts: pl.DataFrame, policy: Policy, *, ledger: Trials, at: dt.datetime) -> int:
    """Record a single way of following `forecasts` before it is run; how many trials the desk has then made.

    A back-test with a setting that was changed by hand is a try too: the same way on the same forecasts counts once.
    """
    ledger.record([_trial(str(forecasts["model"][0]), policy.parameters, frame_digest(forecasts), {})], at=at)
    return ledger.count(DESK)


def _combinations(policy: Policy, grid: Mapping[str, Sequence[Any]]) -> list[tuple[dict[str, Any], Policy]]:
    """Every combination, in the order of the grid, with the policy that it makes."""
    own = [each.name for each in fields(Policy) if each.name != "rules"]
    for name, values in grid.items():
        if name not in (*own, "horizon_bars"):
            raise unknown("parameter of the signals desk", name, (*own, "horizon_bars"))
        if not len(values):
            raise BadInput(f"The grid has no value of `{name}` to try.")
    found = []
    for values in itertools.product(*grid.values()):
        changes = dict(zip(grid, values, strict=True))
        rules = replace(policy.rules, horizon_bars=changes.get("horizon_bars", policy.rules.horizon_bars))
        rest = {name: value for name, value in changes.items() if name != "horizon_bars"}
        found.append((changes, replace(policy, rules=rules, **rest)))
    return found


def _split(forecasts: pl.DataFrame, share: float) -> dt.date:
    """First session of the rest."""
    if not 0.0 < share < 1.0:
        raise BadInput(f"`first_share` must lie between 0 and 1; was {share}.")
    days = forecasts["session"].unique().sort()
    at = round(share * len(days))
    if not 0 < at < len(days):
        raise DataMissing(f"{len(days)} sessions of forecasts cannot be cut into a part to search and a rest.")
    first: dt.date = days[at]
    return first


def _trial(model: str, parameters: Mapping[str, Any], data: str, changes: Mapping[str, Any]) -> Trial:
    fingerprint = digest([model, dict(parameters), "judged" in changes])
    return Trial(DESK, "backtest", model, fingerprint, data, {**parameters, **changes})


def _ranked(
    ways: Sequence[tuple[Mapping[str, Any], Policy]], done: Sequence[SignalBacktest], least: int
) -> tuple[pl.DataFrame, int | None]:
    """The table of the trials, and the place of the best that is eligible, the first on a tie."""
    rows, best = [], None
    for place, ((changes, _), each) in enumerate(zip(ways, done, strict=True)):
        measured = each.performance
        sharpe = None if measured is None else measured.sharpe
        known = sharpe is not None and sharpe.value is not None
        eligible = known and each.trades.height >= least
        rows.append(
            {**changes, "trades": each.trades.height,
             "total_return": None if measured is None else measured.total_return,
             **{f"sharpe{suffix}": getattr(sharpe, part, None)
                for part, suffix in (("value", ""), ("low", "_low"), ("high", "_high"))},
             "max_drawdown": None if measured is None else measured.max_drawdown, "eligible": eligible}
        )  # fmt: skip
        if eligible and (best is None or rows[place]["sharpe"] > rows[best]["sharpe"]):
            best = place
    kinds = dict.fromkeys(("total_return", "sharpe", "sharpe_low", "sharpe_high", "max_drawdown"), pl.Float64)
    table = pl.DataFrame(rows, schema_overrides=kinds, infer_schema_length=None)
    return table.with_columns(pl.Series("chosen", [place == best for place in range(len(rows))])), best


def _returns(each: SignalBacktest) -> np.ndarray:
    values = each.equity[SIGNALS].to_numpy()
    return np.asarray(values[1:] / values[:-1] - 1.0)


def _deflated(done: Sequence[SignalBacktest], found: SignalBacktest, counted: int) -> Deflated | None:
    """Of the chosen one's Sharpe ratio; trials that the ledger knows and this search did not make count as alike."""
    if found.performance is None:
        return None
    together = [each for each in done if each.performance is not None and each.sessions == found.sessions]
    seen = np.column_stack([_returns(each) for each in together] or [_returns(found)])
    trials = extended_trials(effective_trials(seen), seen.shape[1], max(counted, len(done)))
    return deflated_sharpe(_returns(found), trials=trials)


def _why(
    found: SignalBacktest, judged: SignalBacktest, deflated: Deflated | None, best: int | None, ways: int, looks: int,
    split: dt.date,
) -> tuple[str, ...]:  # fmt: skip
    told = []
    if best is None:
        told.append(f"None of {ways} ways traded often enough on the first part to be chosen: the one given was kept.")
    elif found.performance is not None and deflated is not None:
        told.append(
            f"The best of {ways} ways has a Sharpe ratio of {found.performance.sharpe.value:+.2f} on the sessions "
            f"before {split}, which it was chosen on; the probability that it is more than the best of luck in "
            f"{deflated.trials:.1f} independent tries is {float(deflated.probability):.0%}."
        )
    told.append(f"On the rest, from {split} on: {judged.verdict()}")
    again = "It was looked at once" if not looks else (
        f"It had been looked at {looks} {'time' if looks == 1 else 'times'} before, so it is no longer out of sample"
    )  # fmt: skip
    told.append(f"The rest played no part in the search. {again}.")
    return tuple(told)
