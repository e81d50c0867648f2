"""How often a tournament promotes luck, and how often it finds an edge that is there.

Every seed is a market of its own with an equity premium of Sharpe ratio 0.8 that no selection of names can earn.
Without an edge a champion is a false one. With one, a slow signal is planted that all candidates can see. The same
curves are judged once more by the request's four thresholds alone (Sharpe ratio, drawdown, Calmar, turnover), over two
years.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from joblib import Parallel, delayed

#: Planted: daily rank IC of a signal that is slow enough to outlive the costs of a weekly rebalance.
EDGE = 0.04
#: Judged by the thresholds alone over so many sessions.
TWO_YEARS = 504


@dataclass(frozen=True)
class Size:
    """How large a tournament is held."""

    names: int
    years: float
    models: tuple[str, ...]
    allocators: tuple[str, ...]
    parameters: dict[str, dict[str, float]]
    families: tuple[str, ...]


REDUCED = Size(
    names=40,
    years=6.0,
    models=("ridge", "lightgbm"),
    allocators=("equal", "score"),
    parameters={"lightgbm": {"n_estimators": 40, "num_leaves": 8}},
    families=("volume", "momentum"),
)
FULL = Size(
    names=60,
    years=8.5,
    models=("ridge", "random_forest", "xgboost", "lightgbm", "catboost", "ensemble"),
    allocators=("equal", "inverse_volatility", "max_sharpe", "min_volatility", "hrp", "score"),
    parameters={},
    families=(),
)


@dataclass(frozen=True)
class Outcome:
    """What one market gave: its champion or None, the best active Sharpe ratio, and what the thresholds alone say."""

    seed: int
    edge: float
    champion: str | None
    survivors: int
    best_active_sharpe: float
    entrants: int
    sessions: int
    passed_thresholds: int


def held_on(seed: int, edge: float, size: Size = REDUCED, alpha: float = 0.01) -> Outcome:
    """A tournament on the generated market of `seed`, up to its gates: the path of `research.tournament`."""
    import polars as pl

    from openbell.core.declare import discover
    from openbell.core.view import View
    from openbell.market.calendars import sessions
    from openbell.market.importing import import_batch
    from openbell.market.providers.generated import generated
    from openbell.research.entrants import entrants_of
    from openbell.research.findings import consistency
    from openbell.research.meeting import meet
    from openbell.research.portfolios import by_regime, measures
    from openbell.research.selection import BEATS_BASELINE, Rules, select
    from openbell.research.venue import MeetingSettings, Venue
    from openbell.store.tables import Tables
    from openbell.store.trials import Trials

    catalogue, calendar = discover(), sessions("XNYS")
    desk = catalogue.desks["stocks"]
    batch = generated(
        names=size.names,
        years=size.years,
        seed=seed,
        edge=edge,
        drift_sharpe=0.8,
        neutral="mean",
        persistence=0.98,
        signal_sessions=60,
    )
    as_of = calendar.open(calendar.shift(batch.bars["session"].max(), 1))
    families = size.families or desk.families
    with tempfile.TemporaryDirectory() as folder:
        tables = Tables.open(f"file://{folder}/tables")
        import_batch(tables, batch, calendar, at=as_of)
        venue = Venue(
            view=View(tables, as_of, calendar),
            desk=desk,
            decide=partial(desk.decide),
            features=[x for x in catalogue.features.values() if x.family in families and x.reads == "bars"],
            label=catalogue.labels[desk.label],
            outcome=catalogue.labels[desk.label.replace("forward_rank", "forward_return")],
            universe="generated",
            benchmark="equal_weight",
            ledger=Trials.open(f"sqlite:///{Path(folder)}/trials.db"),
            settings=MeetingSettings(warmup_sessions=60, train_sessions=504, refit_sessions=252, jobs=1, seed=seed),
        )
        dated = venue.decisions()
        entrants = entrants_of(size.models, size.allocators, catalogue.models.__getitem__, size.parameters)
        played = meet(venue, venue.panel(dated), venue.folds(dated), entrants, dated).played
        venue.ledger.close()
    rules = Rules(desk.criteria, desk.thresholds, alpha=alpha, replications=1000, seed=seed)
    steady = pl.Series("regime_consistency", consistency(by_regime(played), played.entrants))
    measured = measures(played).with_columns(steady)
    found = select(played.entrants, played.active, measured, rules, reported=False)
    alone = select(played.entrants, played.active, _of_two_years(played), rules, reported=False).gates
    own = [limit.measure for limit in desk.thresholds]
    by_thresholds = alone.filter(pl.col("gate").is_in(own)).group_by("entrant").agg(pl.col("passed").all())
    return Outcome(
        seed=seed,
        edge=edge,
        champion=found.champion,
        survivors=int(found.gates.filter((pl.col("gate") == BEATS_BASELINE) & pl.col("passed")).height),
        best_active_sharpe=float(measured["active_sharpe"].max()),
        entrants=len(played.entrants),
        sessions=len(played.active),
        passed_thresholds=int(by_thresholds["passed"].sum()),
    )


def _of_two_years(played):
    """The measures of the first two years alone."""
    from dataclasses import replace

    import polars as pl

    from openbell.research.findings import consistency
    from openbell.research.portfolios import by_regime, measures

    cut = replace(
        played,
        dates=played.dates[: TWO_YEARS + 1],
        curves=played.curves[:, : TWO_YEARS + 1],
        benchmark=played.benchmark[: TWO_YEARS + 1],
        turnover=played.turnover[:, : TWO_YEARS // 5],
        regimes=played.regimes[:TWO_YEARS],
    )
    return measures(cut).with_columns(pl.Series("regime_consistency", consistency(by_regime(cut), cut.entrants)))


def study(seeds: Iterable[int], edge: float, size: Size = REDUCED, jobs: int = 2) -> list[Outcome]:
    """One outcome per seed, in order."""
    return Parallel(n_jobs=jobs)(delayed(held_on)(seed, edge, size) for seed in seeds)


def main(arguments: list[str]) -> None:
    """Print one JSON line per market; arguments: reduced or full, an edge (0 for none), first seed, last seed."""
    kind, edge, first, last = arguments
    size = {"reduced": REDUCED, "full": FULL}[kind]
    stream = Parallel(n_jobs=2, return_as="generator")(
        delayed(held_on)(seed, float(edge), size) for seed in range(int(first), int(last) + 1)
    )
    found = []
    for outcome in stream:
        found.append(outcome)
        print(json.dumps(asdict(outcome)), flush=True)
    promoted = sum(each.champion is not None for each in found)
    lucky = sum(each.passed_thresholds > 0 for each in found)
    print(f"{kind}, edge {edge}: a champion in {promoted} of {len(found)}; by thresholds alone over two years: {lucky}")


if __name__ == "__main__":
    main(sys.argv[1:])
