"""The gate on markets whose truth is known: without any edge, and with skill planted in some pairs.

Every seed is a market of its own: 0DTE trades made up on real levels and volatilities, priced by a martingale, several
a day sharing a close. Without an edge the skill over the price must hold 0 and nothing may be proven. With planted
skill it must be found, in the right pairs, with probabilities that mean what they say; partial pooling is held against
a hard fallback and against no pooling. The same trades are also split at random, as the gate must never do.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from openbell.research.gate_scores import GateScores

NAMES = ("hierarchy", "no_pooling", "simple", "fallback")
BASELINES = ("price", "base_rate")
#: Skill is planted where half of the symbols trade two of the strategies, and knows so much of the remaining variance.
PLANTED = frozenset(
    (symbol, strategy) for symbol in ("SPX", "SPY", "QQQ", "AAPL") for strategy in ("Butterfly", "Vertical")
)
EXPLAINED = 0.03
COMMISSION_USD = 0.65


@dataclass(frozen=True)
class Size:
    """How large one market is, and how it is walked."""

    days: int = 400
    times: int = 6
    min_train_days: int = 120
    refit_days: int = 60
    names: tuple[str, ...] = NAMES


@dataclass(frozen=True, eq=False)
class World:
    """Trades of one market ready for a walk; `raw` has the columns that name a day besides."""

    rows: pl.DataFrame
    features: tuple[str, ...]
    raw: pl.DataFrame


def world(seed: int, size: Size, explained: float = 0.0, symbols: Sequence[str] | None = None) -> World:
    """The made-up trades of `seed` with their facts and features, as the gate prepares them."""
    from openbell.core.declare import discover
    from openbell.core.trade_rows import SHEET_SYMBOLS
    from openbell.market.calendars import sessions
    from openbell.market.providers.sample_index import VOLATILITY_INDEX, sample_index
    from openbell.research.made_up_trades import Skill, made_up_bars, made_up_trades
    from openbell.research.trade_facts import facts
    from openbell.research.trade_features import market_columns, trade_features, with_market

    bars = sample_index().bars
    index = bars.filter(pl.col("symbol") == VOLATILITY_INDEX)
    skill = Skill(PLANTED, explained) if explained else None
    trades = made_up_trades(
        bars, index, seed=seed, days=size.days, times=size.times, skill=skill, symbols=symbols or SHEET_SYMBOLS
    )
    beside = with_market(trades, market_columns(made_up_bars(bars), index))
    whole = facts(beside, commission_usd=COMMISSION_USD, sessions=sessions("XNYS"))
    declared = {name: each for name, each in discover().features.items() if each.reads == "trades"}
    columns = trade_features(whole, declared)
    keys = ("session", "known_at", "outcome_known_at", "symbol", "strategy", "price_probability", "logit_price", "win",
            "profit_usd", "risk_usd", "win_usd", "loss_usd", "ratio", "fair_probability")  # fmt: skip
    usable = pl.col("win").is_not_null() & pl.col("price_probability").is_not_null() & pl.col("risk_usd").is_not_null()
    usable = whole.select(usable).to_series()
    table = whole.select(keys).hstack(columns).filter(usable)
    return World(table, tuple(columns.columns), whole.filter(usable))


def walked(made: World, size: Size) -> tuple[pl.DataFrame, GateScores]:
    """The candidates and the baselines walked forward over a world, and what that was worth."""
    from openbell.research.gate_scores import scored
    from openbell.research.gate_training import trained
    from openbell.research.gate_walk import walk

    found = walk(
        made.rows,
        made.features,
        [*size.names, *BASELINES],
        fit=trained,
        min_train_days=size.min_train_days,
        refit_days=size.refit_days,
    )
    return found, scored(found, replications=1000, modelled="generated")


def model_rows(seed: int, scores: GateScores) -> list[list[str]]:
    """A row of the printed table for each model."""
    found = []
    for row in scores.models.iter_rows(named=True):
        low, high = row["skill_nats_low"], row["skill_nats_high"]
        word = "none" if low is None else "above" if low > 0 else "below" if high < 0 else "holds 0"
        found.append(
            [
                str(seed), row["model"], f"{row['skill_nats']:+.5f}",
                "–" if low is None else f"{low:+.5f} to {high:+.5f}", word,
                "–" if row["p_nats"] is None else f"{row['p_nats']:.3f}", "yes" if row["proven"] else "no",
                f"{row['ece']:.3f} ({row['ece_by_chance']:.3f})", f"{row['auc']:.3f}", f"{row['accuracy']:.3f}",
                f"{row['taken']:,}", f"{row['usd_per_day']:+.1f}", f"{row['usd_over_all']:+.1f}",
            ]
        )  # fmt: skip
    return found


HEAD = ["seed", "model", "skill, nats", "95 %", "interval", "p", "proven", "ECE (by chance)", "AUC", "accuracy",
        "taken", "USD per day", "over taking all"]  # fmt: skip


def by_place(walk: pl.DataFrame, name: str) -> dict[str, str]:
    """Skill over the price of one model in the pairs with planted skill, and in all others, with its interval."""
    from openbell.research.gate_judged import judged, log_losses

    found = judged(walk)
    pairs = found.keys.select(pl.concat_str("symbol", "strategy", separator=" ")).to_series()
    planted = pairs.is_in([f"{symbol} {strategy}" for symbol, strategy in sorted(PLANTED)]).to_numpy()
    price = log_losses(found.keys["price_probability"].to_numpy(), found.win)
    gain = price - log_losses(found.said[name]["probability"].to_numpy(), found.win)
    told = {}
    for word, here in (("planted", planted), ("others", ~planted)):
        each = found.blocks.part(here).mean(gain[here])
        told[word] = f"{each.value:+.4f} ({each.low:+.4f} to {each.high:+.4f})"
    return told


def against(walk: pl.DataFrame, name: str, others: Sequence[str]) -> dict[str, str]:
    """By how many nats per trade the model is better than each of the others, with its interval."""
    from openbell.research.gate_judged import judged, log_losses

    found = judged(walk)
    losses = {each: log_losses(said["probability"].to_numpy(), found.win) for each, said in found.said.items()}
    told = {}
    for other in others:
        each = found.blocks.mean(losses[other] - losses[name])
        told[other] = f"{each.value:+.4f} ({each.low:+.4f} to {each.high:+.4f})"
    return told


def attainable(made: World, explained: float = EXPLAINED) -> str:
    """Skill over the price in the planted pairs of whoever knows how the signal was made: the most there is to find.

    The remaining shock has the mean ``sqrt(explained) * signal`` and the variance ``1 - explained``; that moves the
    odds of ending between the breakevens, and the odds of the price are moved by as much.
    """
    import numpy as np
    from scipy.special import expit, logit
    from scipy.stats import norm

    from openbell.quant.day_blocks import DayBlocks
    from openbell.research.gate_judged import log_losses

    pairs = pl.struct("symbol", "strategy").is_in([{"symbol": a, "strategy": b} for a, b in sorted(PLANTED)])
    rows = made.raw.filter(pairs)
    names = (
        "price",
        "deviation",
        "short_term",
        "expected_move",
        "breakeven_low",
        "breakeven_high",
        "price_probability",
    )
    at = {name: rows[name].cast(pl.Float64).fill_null(float("nan")).to_numpy() for name in names}
    signal = np.nan_to_num((at["short_term"] - at["price"]) / at["expected_move"])
    knows = np.isfinite(at["short_term"])

    def between(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
        low, high = (
            (np.log(np.nan_to_num(at[name] / at["price"], nan=end)) / at["deviation"] - mean) / np.sqrt(variance)
            for name, end in (("breakeven_low", 1e-9), ("breakeven_high", 1e9))
        )
        inside = norm.cdf(high) - norm.cdf(low)
        return np.clip(np.where(rows["wins_between"].fill_null(True).to_numpy(), inside, 1.0 - inside), 1e-4, 1 - 1e-4)

    drift = -0.5 * at["deviation"]
    told = between(drift + np.sqrt(explained) * signal, np.where(knows, 1.0 - explained, 1.0))
    moved = np.where(knows, logit(told) - logit(between(drift, np.ones(len(signal)))), 0.0)
    win, q = rows["win"].to_numpy(), np.clip(at["price_probability"], 1e-4, 1 - 1e-4)
    gain = log_losses(q, win) - log_losses(expit(logit(q) + moved), win)
    found = DayBlocks.of(rows["session"].to_numpy()).mean(gain)
    return f"{found.value:+.4f} ({found.low:+.4f} to {found.high:+.4f})"


def found_cells(scores: GateScores, name: str) -> tuple[int, int]:
    """How many planted pairs, and how many others, have an interval above 0."""
    own = scores.cells.filter((pl.col("model") == name) & (pl.col("skill_nats_low") > 0))
    planted = sum(pair in PLANTED for pair in own.select("symbol", "strategy").iter_rows())
    return planted, own.height - planted


def without_edge(seeds: Sequence[int], size: Size) -> None:
    """Print what the gate says of markets on which nobody can know anything."""
    from benchmarks.measuring import table

    rows, held, above, proven, tries = [], 0, 0, 0, 0
    for seed in seeds:
        _, scores = walked(world(seed, size), size)
        rows += model_rows(seed, scores)
        own = scores.models.filter(pl.col("kind") == "candidate")
        tries += own.height
        held += own.filter((pl.col("skill_nats_low") <= 0) & (pl.col("skill_nats_high") >= 0)).height
        above += own.filter(pl.col("skill_nats_low") > 0).height
        proven += len(scores.proven)
        print(f"seed {seed} without an edge: proven {scores.proven or 'none'}", flush=True)
    print(table("Without any edge", HEAD, rows))
    print(f"{held} of {tries} intervals hold 0, {above} lie above it; {proven} of {tries} were proven.", flush=True)


def with_skill(seeds: Sequence[int], size: Size) -> None:
    """Print what the gate finds where skill was planted."""
    from benchmarks.measuring import table

    rows, places = [], []
    for seed in seeds:
        made = world(seed, size, EXPLAINED)
        walk, scores = walked(made, size)
        print(f"seed {seed}: who knows how the signal was made has {attainable(made)} nats in the planted pairs")
        rows += model_rows(seed, scores)
        for name in size.names:
            inside, outside = found_cells(scores, name)
            told = by_place(walk, name)
            cells = f"{inside} of {len(PLANTED)}, {outside} of {32 - len(PLANTED)}"
            places.append([str(seed), name, told["planted"], told["others"], cells])
        better = against(walk, "hierarchy", [name for name in ("fallback", "no_pooling") if name in size.names])
        told = "; ".join(f"{name}: {value}" for name, value in better.items())
        print(f"seed {seed}: proven {scores.proven or 'none'}; nats by which the hierarchy beats {told}", flush=True)
    print(table(f"Planted: {EXPLAINED:.0%} of the remaining variance in {len(PLANTED)} of 32 pairs", HEAD, rows))
    head = ["seed", "model", "skill in planted pairs", "in the others", "pairs above 0: planted, others"]
    print(table("Where it was found", head, places), flush=True)


def random_split(days: int = 120, times: int = 77) -> None:
    """Print what three ways to split say of the same models on trades of SPX without an edge, every five minutes."""
    from benchmarks.gate_random_split import RAW, claims
    from benchmarks.measuring import table

    made = world(0, Size(days=days, times=times), symbols=("SPX",))
    raw = [name for name in RAW if name in made.raw.columns and name not in made.features]
    found = claims(made.rows.hstack(made.raw.select(raw)), [*made.features, *raw])
    rows = [
        [each.split, f"{each.tested:,}", f"{each.accuracy:.3f}", f"{each.best_pair:.3f}", f"{each.base_accuracy:.3f}",
         f"{each.price_accuracy:.3f}", f"{each.auc:.3f}", f"{each.log_loss:.3f}", f"{each.price_log_loss:.3f}"]
        for each in found
    ]  # fmt: skip
    head = ["split", "tested", "accuracy", "best pair", "always the commoner", "the price", "AUC", "log-loss",
            "of the price"]  # fmt: skip
    print(table("XGBoost per pair on trades that nobody can know anything about", head, rows), flush=True)


def main(words: list[str]) -> None:
    """`python -m benchmarks gate [edgeless|planted|split] [seeds] [days] [times]`; all three without a word."""
    parts = [word for word in words if not word.isdigit()] or ["split", "edgeless", "planted"]
    numbers = [int(word) for word in words if word.isdigit()]
    seeds = range(numbers[0] if numbers else 3)
    size = Size(*numbers[1:3])
    begun = time.perf_counter()
    for part in parts:
        if part == "split":
            random_split()
        elif part == "edgeless":
            without_edge(seeds, size)
        elif part == "planted":
            with_skill(seeds, size)
        else:
            raise SystemExit(f"There is no part `{part}`. Valid are: edgeless, planted, split.")
    print(f"{time.perf_counter() - begun:.0f} s for {len(seeds)} seeds of {size.days} days.")


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
