"""How often a champion appears: on markets without any edge (size), and with a planted one (power).

Every seed is a market of its own, 60 names over 4 years, imported through the quality gate and trained like any other,
with smaller models. A champion on a market without an edge is a false one.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass

from joblib import Parallel, delayed

ALPHA = 0.01
NAMES, YEARS = 60, 4.0
#: Reduced sizes: what a training of 60 names over 4 years needs.
PARAMETERS = {
    "random_forest": {"n_estimators": 30, "max_depth": 5, "max_samples": 0.3},
    "xgboost": {"n_estimators": 40, "max_depth": 3},
    "lightgbm": {"n_estimators": 40, "num_leaves": 8},
}


@dataclass(frozen=True)
class Outcome:
    """What one market gave: its champion or None, and the largest studentised mean rank IC."""

    seed: int
    edge: float
    champion: str | None
    statistic: float
    mean_rank_ic: float


def trained_on(seed: int, edge: float) -> Outcome:
    """Train the stocks desk's candidates on the generated market of `seed`."""
    from openbell.core.declare import discover
    from openbell.core.view import View
    from openbell.market.calendars import sessions
    from openbell.market.importing import import_batch
    from openbell.market.providers.generated import generated
    from openbell.research.training import TrainSettings, train
    from openbell.store.tables import Tables
    from openbell.store.trials import Trials

    catalogue, calendar = discover(), sessions("XNYS")
    desk = catalogue.desks["stocks"]
    batch = generated(names=NAMES, years=YEARS, seed=seed, edge=edge)
    last = batch.bars["session"].max()
    as_of = calendar.open(calendar.shift(last, 1))
    with tempfile.TemporaryDirectory() as folder:
        from pathlib import Path

        tables = Tables.open(f"file://{folder}/tables")
        import_batch(tables, batch, calendar, at=as_of)
        training = train(
            View(tables, as_of, calendar),
            "stocks",
            [each for each in catalogue.features.values() if each.family in desk.families and each.reads == "bars"],
            catalogue.labels[desk.label],
            [catalogue.models[name] for name in desk.candidates],
            universe="generated",
            folder=Path(folder) / "models",
            ledger=Trials.open(f"sqlite:///{folder}/trials.db"),
            settings=TrainSettings(
                history_years=YEARS, folds=3, min_train_sessions=189, alpha=ALPHA, jobs=1, parameters=PARAMETERS
            ),
        )
    evidence = training.choice.evidence.sort("statistic", descending=True, nulls_last=True)
    best = evidence.row(0, named=True)
    return Outcome(seed, edge, training.choice.champion, best["statistic"], best["mean_rank_ic"])


def study(seeds: Iterable[int], edge: float, jobs: int = 2) -> list[Outcome]:
    """One outcome per seed, in order."""
    return Parallel(n_jobs=jobs)(delayed(trained_on)(seed, edge) for seed in seeds)


def main(arguments: list[str]) -> None:
    """Print the counts; arguments: first seed, last seed (default 0 99)."""
    first, last = (int(arguments[0]), int(arguments[1])) if len(arguments) == 2 else (0, 99)
    for edge in (0.0, 0.05):
        found = study(range(first, last + 1), edge)
        champions = [each.champion for each in found if each.champion is not None]
        print(f"edge {edge}: a champion in {len(champions)} of {len(found)} markets at alpha {ALPHA}", flush=True)
        for name in sorted(set(champions)):
            print(f"  {name}: {champions.count(name)}")


if __name__ == "__main__":
    main(sys.argv[1:])
