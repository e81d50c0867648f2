"""Does the options desk see an edge where there is none? Made-up markets whose option prices are exact expectations.

Every seed is a market of its own: the underlying is a lognormal martingale with clustered variance, its options are
priced by the law of that very path, quoted with a spread. No strategy can earn anything before costs. The whole desk
runs on it: the 84 features, the full-information table, stage 1 walked forward, stage 2 on similar days, and StepM.
A champion there is a false one.

    python -m benchmarks options_study 4 --years 6
"""

from __future__ import annotations

import argparse
import datetime as dt
import tempfile
from pathlib import Path
from typing import Any

#: Reduced sizes: a study of many markets, not of one.
SETTINGS = (
    "options.min_train_sessions=252",
    "options.refit_sessions=252",
    "models.lightgbm.n_estimators=50",
    "models.lightgbm_classifier.n_estimators=30",
    "train.replications=1000",
)


def on_a_market_without_an_edge(seed: int, years: float, names: tuple[str, ...] = ("lightgbm",)) -> dict[str, Any]:
    """The scoreboard of one seed, in figures."""
    import numpy as np
    import polars as pl

    from openbell.app.home import Home
    from openbell.app.options_history import past_of
    from openbell.app.options_market import OptionMarketData
    from openbell.app.options_training import candidates_of, count, judged
    from openbell.app.training import make_home
    from openbell.core.view import View
    from openbell.market.modelled import day_facts, modelled_chains
    from openbell.market.surface_scalars import FITTED
    from openbell.quant.edgeless import edgeless_surfaces
    from openbell.research.chain_features import chain_day_features, eighty_four, option_features

    with tempfile.TemporaryDirectory() as folder:
        home = Home.open(Path(folder), sets=SETTINGS)
        make_home(home)
        calendar = home.sessions
        end = dt.date(2021, 12, 30)
        days = [day for day in calendar.between(end - dt.timedelta(days=round(365.25 * years)), end)]
        later = [day for day in calendar.dates if day > end][:420]
        made = edgeless_surfaces(days, seed, later=later, spread=FITTED.spread("SPX"))
        declared = eighty_four(home.catalogue.features)
        facts = day_facts(made.surfaces, made.bars)
        chains = modelled_chains(made.surfaces, np.arange(len(days)), facts, "SPX", calendar=calendar)
        quotes = pl.concat([chain_day_features(each, declared) for each in chains])
        bars = made.bars.with_columns(
            *(pl.col(name).alias(f"raw_{name}") for name in ("open", "high", "low", "close", "volume"))
        )
        features = option_features(
            "SPX", bars, benchmark=made.benchmark, volatility_index=made.volatility_index, chain_days=quotes,
            sessions=calendar, features=declared,
        )  # fmt: skip
        view = View(home.tables, home.as_of(calendar.shift(end, 1)), calendar)
        data = OptionMarketData(home, view, "SPX", made.surfaces, features, quotes, ())
        candidates = candidates_of(home, names)
        past = past_of(data)
        count(home, "SPX", candidates, "study")
        _, _, board = judged(home, past, candidates)
        row = board.strategies.filter(pl.col("kind") == "candidate").row(0, named=True)
        said = board.classification.row(0, named=True)
        return {
            "seed": seed,
            "days": board.paths.height,
            "champion": board.champion,
            **{name: row[name] for name in ("mean_utility", "utility_low", "utility_high", "p_value", "trades")},
            **{name: said[name] for name in ("accuracy", "accuracy_low", "accuracy_high", "base_accuracy")},
            **{name: said[name] for name in ("log_loss", "base_log_loss")},
        }


def main(words: list[str]) -> None:
    """Some seeds, a line each, and how many had a champion."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks options_study", description=__doc__)
    parser.add_argument("seeds", type=int, nargs="?", default=4)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--years", type=float, default=6.0)
    asked = parser.parse_args(words)
    found = []
    for seed in range(asked.first, asked.first + asked.seeds):
        found.append(on_a_market_without_an_edge(seed, asked.years))
        print({name: round(v, 4) if isinstance(v, float) else v for name, v in found[-1].items()}, flush=True)
    champions = sum(each["champion"] is not None for each in found)
    inside = sum(each["accuracy_low"] <= each["base_accuracy"] <= each["accuracy_high"] for each in found)
    print(f"{champions} of {len(found)} markets without an edge had a champion (nominal 1 %).")
    print(f"The interval of the accuracy held the base rate in {inside} of {len(found)}.")
