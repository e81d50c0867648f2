"""The stocks desk: which names at which weights, adapted to the market's regime (Annex G)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from openbell.core.declare import Criterion, Threshold, desk
from openbell.core.errors import BadInput, DataMissing, LeakFound
from openbell.core.types import Book, Decision, Forecast, Market
from openbell.quant.allocation import (
    ALIASES,
    ALLOCATORS,
    OPTIMISERS,
    Allocation,
    Problem,
    allocate,
    allocator_name,
)
from openbell.quant.regime import Regime, RegimeReading, regime_reading

WEIGHTINGS = (*ALLOCATORS, *ALIASES)

#: Of the full account, and of `top_k`, by regime.
GROSS = {Regime.RISK_OFF: 0.5, Regime.NORMAL: 1.0, Regime.RISK_ON: 1.2}
BREADTH = {Regime.RISK_OFF: 0.6, Regime.NORMAL: 1.0, Regime.RISK_ON: 1.3}
FEWEST_NAMES = 10
MOST_NAMES = 50

#: The families of features its models are trained on: files of `features/`. `prices` stays out: levels in dollars say
#: nothing across names.
FAMILIES = (
    "momentum",
    "trend",
    "volatility",
    "volume",
    "oscillators",
    "ranges",
    "levels",
    "regime",
    "statistics",
    "fundamentals",
)


@dataclass(frozen=True, slots=True, eq=False)
class _Universe:
    """The names that may be chosen, the most traded first, and how many fell out at each condition."""

    names: pl.DataFrame
    counts: dict[str, int]
    notes: tuple[str, ...]


class _Caps(NamedTuple):
    """Limits on the weights: of all, of one name, of one sector."""

    gross: float
    name: float
    sector: float


@desk(
    name="stocks",
    label="forward_rank_5d",
    candidates=("naive", "ridge", "random_forest", "xgboost", "lightgbm"),
    families=FAMILIES,
    rebalance_sessions=5,
    entrants=("ridge", "random_forest", "xgboost", "xgboost_tuned", "lightgbm", "catboost", "ensemble"),
    allocators=("equal", "inverse_volatility", "max_sharpe", "min_volatility", "hrp", "score"),
    criteria=(
        Criterion("sharpe", weight=0.30, worst=0.0, best=2.0),
        Criterion("max_drawdown", weight=0.25, worst=-0.30, best=0.0),
        Criterion("calmar", weight=0.20, worst=0.0, best=1.5),
        Criterion("turnover", weight=0.15, worst=0.50, best=0.0),
        Criterion("regime_consistency", weight=0.10, worst=0.0, best=1.0),
    ),
    thresholds=(
        Threshold("sharpe", at_least=1.0),
        Threshold("max_drawdown", at_least=-0.20),
        Threshold("calmar", at_least=0.5),
        Threshold("turnover", at_most=0.40),
    ),
)
def decide(
    forecast: Forecast,
    book: Book,
    market: Market,
    *,
    top_k: int = 20,
    weighting: str = "equal",
    max_position_pct: float = 0.15,
    max_sector_weight: float = 0.30,
    enable_regime_adaptation: bool = True,
    min_price_usd: float = 5.0,
    min_volume_shares: float = 500_000.0,
    min_market_value_usd: float = 500e6,
    max_names: int = 500,
    optimiser_names: int = 60,
) -> Decision:
    """Hold the names of the highest scores under the caps, as many and as fully as the regime allows.

    Pure: it reads what it is handed and gives targets; the engine adds trades and verdicts. Ties are broken by score,
    then symbol. Without a view it holds the most traded names at equal weights, under the same caps. `weighting` is
    any allocator of `quant/allocation` or its alias; those that optimise choose among the same highest scores, at most
    `optimiser_names` of them, and may leave some at 0. The book is not read: what is held changes no target.
    """
    wanted = _checked(
        forecast, market, weighting, {"top_k": top_k, "max_names": max_names, "optimiser_names": optimiser_names}
    )
    reading = _reading(market)
    acting = reading.regime if enable_regime_adaptation else Regime.NORMAL
    universe = _universe(market, min_price_usd, min_volume_shares, min_market_value_usd, max_names)
    ranked = _ranked(forecast, universe) if forecast.has_view else None
    universe = replace(universe, counts=dict(universe.counts))
    k = breadth(top_k, acting)
    chosen, basis = _chosen(forecast, universe, ranked, min(k, optimiser_names) if wanted in OPTIMISERS else k, wanted)
    gross = min(GROSS[acting], 1.0)
    caps = _Caps(gross, max_position_pct, max_sector_weight)
    allocation = _allocation(chosen, market, wanted, forecast.has_view, caps)
    chosen = chosen.with_columns(pl.Series("weight", allocation.weights)).filter(pl.col("weight") > 0)
    cash = max(1.0 - float(allocation.weights.sum()), 0.0)
    return Decision(
        desk="stocks",
        session=market.session,
        as_of=market.as_of,
        targets=dict(chosen.select("symbol", "weight").sort("symbol").rows()),
        cash_weight=cash,
        why=(
            _regime_sentence(reading, acting, market.benchmark_name, enable_regime_adaptation),
            basis,
            *_allocation_sentences(allocation, len(allocation.weights), chosen.height),
            _cash_sentence(cash, gross),
            *universe.notes,
            *forecast.why,
        ),
        details={
            "regime": int(reading.regime),
            "regime_name": reading.regime.label,
            "regime_measures": _measures(reading),
            "regime_adaptation": enable_regime_adaptation,
            "benchmark": market.benchmark_name,
            "k": chosen.height,
            "gross": gross,
            "weighting": allocation.method,
            "wanted": wanted,
            "fallback": allocation.fallback,
            "view": forecast.has_view,
            "model": forecast.model,
            "universe": universe.counts,
            "names": chosen.select("symbol", "score", "rank", "weight", "sector").to_dicts(),
        },
    )


def breadth(top_k: int, regime: Regime) -> int:
    """How many names are held: `top_k` times 0.6, 1 or 1.3, not thinned below 10 nor widened above 50."""
    count = int(top_k * BREADTH[regime] + 1e-9)
    if regime is Regime.RISK_OFF:
        return max(count, min(FEWEST_NAMES, top_k))
    return min(count, max(MOST_NAMES, top_k))


def _checked(forecast: Forecast, market: Market, weighting: str, counts: Mapping[str, int]) -> str:
    """The allocator that `weighting` means, once everything handed in can be used."""
    wanted = allocator_name(weighting)
    for name, value in counts.items():
        if value < 1:
            raise BadInput(f"`{name}` must be 1 or more; was {value}.")
    if forecast.as_of > market.as_of:
        raise LeakFound(
            f"The forecast is of {forecast.as_of.isoformat()}, after the market it is used on "
            f"({market.as_of.isoformat()}). Forecast again as of the decision."
        )
    return wanted


# A tournament asks many times about one market, which is frozen; each caller copies the counts.
@lru_cache(maxsize=2)
def _universe(
    market: Market, min_price_usd: float, min_volume_shares: float, min_market_value_usd: float, max_names: int
) -> _Universe:
    price = pl.col("price_usd")
    conditions = {
        "member": pl.col("member"),
        "fresh_price": (pl.col("price_session") == market.last_session) & price.is_finite() & (price > 0),
        "price": price >= min_price_usd,
        "volume": pl.col("volume_shares") >= min_volume_shares,
        "market_value": pl.col("market_value_usd") >= min_market_value_usd,
    }
    # A field that the data lack for every name cannot be a condition; where only some lack it, those fall out.
    # Empty market values are common even where some are known, so a name without one is kept and counted.
    blank = {
        "volume": bool(market.names["volume_shares"].is_null().all()),
        "market_value": bool(market.names["market_value_usd"].is_null().all()),
    }
    asked = {name: test for name, test in conditions.items() if not blank.get(name)}
    held = market.names.select(
        test.fill_null(name == "market_value").alias(name) for name, test in asked.items()
    ).to_numpy()
    passed = np.logical_and.accumulate(held, axis=1)
    counts = {"rows": market.names.height, **dict(zip(asked, passed.sum(axis=0).tolist(), strict=True))}
    names = (
        market.names.lazy()
        .filter(pl.Series(passed[:, -1], dtype=pl.Boolean))
        .sort("dollar_volume_usd", "symbol", descending=[True, False], nulls_last=True)
        .head(max_names)
        .collect()
    )
    counts["eligible"] = names.height
    if not names.height:
        raise BadInput(
            f"The universe of {market.session} is empty: no name is left of {_steps(counts)}. "
            "Check the universe's members and bars with `openbell data list`, or lower the desk's conditions."
        )
    notes = tuple(
        f"The data hold no {name.replace('_', ' ')}s, so none was asked of a name." for name in blank if blank[name]
    )
    return _Universe(names, counts, notes)


def _steps(counts: dict[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in counts.items())


@lru_cache(maxsize=2)
def _reading(market: Market) -> RegimeReading:
    return regime_reading(market.benchmark)


@lru_cache(maxsize=2)
def _ranked(forecast: Forecast, universe: _Universe) -> pl.DataFrame:
    """The eligible names that are scored, best first, with ``rank``, and mean and deviation of all their scores."""
    scores = forecast.scores.select("symbol", pl.col("score").cast(pl.Float64))
    if not scores["score"].is_finite().fill_null(False).all() or scores["symbol"].is_duplicated().any():
        raise BadInput("A score must be a finite number, one for each name; a model that abstains leaves a name out.")
    return (
        universe.names.lazy()
        .join(scores.lazy(), on="symbol", how="inner")
        .sort("score", "symbol", descending=[True, False])
        .with_row_index("rank", offset=1)
        .with_columns(pl.col("score").mean().alias("score_mean"), pl.col("score").std(ddof=0).alias("score_deviation"))
        .collect()
    )


def _chosen(
    forecast: Forecast, universe: _Universe, ranked: pl.DataFrame | None, k: int, weighting: str
) -> tuple[pl.DataFrame, str]:
    """The chosen names with score and rank, best first, and the sentence that says how they were chosen.

    ``score_mean`` and ``score_deviation`` are those of all scored names, so that an allocator knows how far above the
    rest the chosen stand.
    """
    if ranked is None:
        return _most_traded(universe, k)
    universe.counts["scored"] = ranked.height
    if not ranked.height:
        raise BadInput(
            f"The model {forecast.model} scored none of the {universe.names.height} eligible names. "
            "Train it on this universe, or check the symbols of the forecast."
        )
    usable = ranked
    if weighting in ("inverse_volatility", "hybrid"):
        usable = ranked.filter((pl.col("volatility") > 0) & pl.col("volatility").is_finite())
        universe.counts["with_volatility"] = usable.height
        if not usable.height:
            raise DataMissing("No scored name has a volatility to weigh by. Use the weighting `equal` or `score`.")
    basis = f"The {min(k, usable.height)} highest scores of {ranked.height} eligible names by {forecast.model}."
    return usable.head(k), basis


def _most_traded(universe: _Universe, k: int) -> tuple[pl.DataFrame, str]:
    names = universe.names.with_columns(pl.lit(None, dtype=pl.Float64).alias("score")).with_row_index("rank", offset=1)
    if names["dollar_volume_usd"].is_null().all():
        some = names.head(max(k, MOST_NAMES))
        return some, f"No view, and no volumes to rank by: {some.height} eligible names at equal weights."
    names = names.filter(pl.col("dollar_volume_usd").is_not_null()).head(k)
    return names, f"No view: the {names.height} most traded names (mean dollar volume of 20 sessions), equal weights."


def _allocation(chosen: pl.DataFrame, market: Market, wanted: str, has_view: bool, caps: _Caps) -> Allocation:
    """Weights in the order of `chosen`; without a view equal ones, whatever was wanted."""
    if not has_view:
        said = None if wanted == "equal" else f"Without a view there is nothing to weigh by `{wanted}`: equal weights."
        return replace(allocate("equal", _problem(chosen, None, caps)), fallback=said)
    if wanted not in OPTIMISERS:
        return allocate(wanted, _problem(chosen, None, caps))
    # In the order of their symbols, so that the same names get the same weights whoever scored them.
    order = chosen["symbol"].arg_sort().to_numpy()
    ordered = chosen[order]
    found = allocate(wanted, _problem(ordered, _returns(ordered["symbol"], market), caps))
    weights = np.empty(chosen.height)
    weights[order] = found.weights
    return replace(found, weights=weights)


def _problem(chosen: pl.DataFrame, returns: np.ndarray | None, caps: _Caps) -> Problem:
    """The problem of the chosen names; one that has no need of returns gets none."""
    scored = "score_mean" in chosen.columns
    return Problem(
        np.zeros((0, chosen.height)) if returns is None else returns,
        scores=chosen["score"].to_numpy() if scored else None,
        score_mean=chosen["score_mean"][0] if scored else None,
        score_deviation=chosen["score_deviation"][0] if scored else None,
        volatility=chosen["volatility"].to_numpy(),
        sectors=chosen["sector"].to_list(),
        symbols=chosen["symbol"].to_list(),
        gross=caps.gross,
        max_weight=caps.name,
        max_sector_weight=caps.sector,
    )


def _returns(symbols: pl.Series, market: Market) -> np.ndarray:
    """Daily returns of the names, shape (t, n); t is 0 where the market was prepared without closes."""
    if market.closes is None or len(market.closes) < 2:
        return np.zeros((0, len(symbols)))
    place = {symbol: at for at, symbol in enumerate(market.names["symbol"])}
    closes = market.closes[:, [place[symbol] for symbol in symbols]]
    with np.errstate(divide="ignore", invalid="ignore"):
        returns = closes[1:] / closes[:-1] - 1.0
    return np.where(np.isfinite(returns), returns, np.nan)


def _measures(reading: RegimeReading) -> dict[str, Any]:
    return {
        "volatility": reading.volatility,
        "drawdown": reading.drawdown,
        "sma20": reading.sma_fast,
        "sma50": reading.sma_slow,
    }


def _regime_sentence(reading: RegimeReading, acting: Regime, benchmark: str, adapted: bool) -> str:
    measures = (
        f"{benchmark}: volatility of 20 sessions {reading.volatility:.1%}, drawdown {reading.drawdown:.1%}, "
        f"SMA20 {'above' if reading.sma_fast > reading.sma_slow else 'not above'} SMA50"
    )
    if not adapted:
        return f"Regime {reading.regime.label} ({measures}); adaptation is switched off, so it changes nothing."
    full = " (renormalised to 1)" if GROSS[acting] > 1.0 else ""
    return (
        f"Regime {reading.regime.label} ({measures}): {GROSS[acting]:g} of the account{full}, "
        f"{BREADTH[acting]:g} of top_k."
    )


def _allocation_sentences(allocation: Allocation, chosen: int, held: int) -> list[str]:
    said = [f"`{allocation.method}` holds {held} of the {chosen} names."] if held < chosen else []
    return [*([allocation.fallback] if allocation.fallback else []), *said, *allocation.notes]


def _cash_sentence(cash: float, gross: float) -> str:
    if 1.0 - cash < gross - 1e-9:
        return f"The caps leave room for {1.0 - cash:.1%} of the intended {gross:.0%}; {cash:.1%} stays in cash."
    return f"{1.0 - cash:.1%} is invested and {cash:.1%} stays in cash."
