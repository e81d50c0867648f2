"""What the models of a tournament look at: importance by permutation on test folds, and contributions in summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from openbell.core.declare import Feature, Model
from openbell.core.errors import IntegrityBroken, Refused, StorageFailed
from openbell.core.hashing import digest
from openbell.core.types import Panel
from openbell.research.candidates import Candidate
from openbell.research.combinations import splits
from openbell.research.cpcv import cpcv_scores, label_keys
from openbell.research.entrants import Entrants
from openbell.research.explanation import contributions, permutation_importance, summary
from openbell.research.fitting import fit, load_fitted
from openbell.research.venue import Venue, numbers
from openbell.store.artifacts import FittedModel

#: Decisions of a test fold that are looked at: enough for a mean rank IC, few enough to score many times over.
DATES = 12
#: Shuffles of each family.
REPEATS = 2
#: Rows whose contributions are averaged for the summary.
ROWS = 400
IMPORTANCE = {
    "model": pl.String,
    "fold": pl.Int64,
    "feature": pl.String,
    "drop": pl.Float64,
    "spread": pl.Float64,
}
SHAP = {"model": pl.String, "feature": pl.String, "mean_abs": pl.Float64}


@dataclass(frozen=True)
class FamilyImportance:
    """Permutation importance of each family of features, for `walkforward.walk_forward` to ask of every fold.

    A column alone says little among a hundred that are related: what one tells, its neighbours tell too.
    """

    families: Mapping[str, tuple[str, ...]]
    label: str
    seed: int

    @property
    def name(self) -> str:
        """Changes with all that the importance of given scores hangs on."""
        return f"family importance 2 {digest([self.families, self.seed, DATES, REPEATS])}"

    @classmethod
    def of(cls, features: Sequence[Feature], label: str, seed: int) -> FamilyImportance:
        """The families that `features` stand in."""
        families: dict[str, tuple[str, ...]] = {}
        for each in features:
            families[each.family] = (*families.get(each.family, ()), each.name)
        return cls(families, label, seed)

    def __call__(self, model: Model, fitted: FittedModel, features: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
        """``feature`` (a family), ``drop``, ``spread`` on evenly spread dates of the fold; empty for sequences."""
        empty = pl.DataFrame(schema={name: IMPORTANCE[name] for name in ("feature", "drop", "spread")})
        if model.sequential or model.members:
            return empty
        days = rows["session"].unique().sort()
        kept = days.gather_every(max(len(days) // DATES, 1)).head(DATES)
        inside = rows.select(
            (pl.col("session").is_in(kept.implode()) & pl.col(self.label).is_not_null()).alias("kept")
        )["kept"]
        there = {
            family: tuple(name for name in names if name in features.columns) for family, names in self.families.items()
        }
        some, target = features.filter(inside), rows.filter(inside)
        if some.is_empty():
            return empty
        found = permutation_importance(
            fitted,
            some,
            target["session"],
            target[self.label].cast(pl.Float64).to_numpy(),
            families={family: names for family, names in there.items() if names},
            repeats=REPEATS,
            seed=self.seed,
        )
        return found.select("feature", "drop", "spread")

    @staticmethod
    def frame(examined: pl.DataFrame | None) -> pl.DataFrame:
        """Every fold's importance as the report reads it."""
        if examined is None:
            return pl.DataFrame(schema=IMPORTANCE)
        return examined.select(list(IMPORTANCE)).cast(IMPORTANCE)


def shap_frame(candidates: Sequence[Candidate], panel: Panel, seed: int) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """``model``, ``feature``, ``mean_abs``: mean size of each feature's contribution on rows of the last decisions.

    With it, in sentences, whose contributions could not be had: that takes nothing from what a model is worth.
    """
    parts, notes = [pl.DataFrame(schema=SHAP)], []
    last = panel.frame.tail(max(ROWS * 4, 1)).select(panel.features)
    rows = last.sample(min(ROWS, last.height), seed=seed) if last.height > ROWS else last
    for each in candidates:
        if each.folder is None:
            continue
        fitted = load_fitted(each.folder, manifest_hash=each.manifest_hash)
        if fitted.sequential:
            continue  # a sequence has no contributions of one row
        try:
            found = summary(contributions(fitted, rows.select(fitted.features), seed=seed), fitted.features)
        except Exception as failure:
            notes.append(f"The contributions of `{each.name}` are not told: {type(failure).__name__}: {failure}")
            continue
        parts.append(found.select(pl.lit(each.name).alias("model"), "feature", "mean_abs").cast(SHAP))
    return pl.concat(parts), tuple(notes)


def recombined(venue: Venue, panel: Panel, entrants: Entrants, name: str, dated: pl.DataFrame) -> dict[str, Any] | None:
    """What the model `name` says on many recombined pasts (CPCV); it decides nothing. None where it is left out.

    Where a fit on one of those pasts raises, only ``model`` and ``why`` are told.
    """
    own = venue.settings
    model = next(each for each in entrants.models if each.name == name)
    given, members = entrants.parameters.get(name, {}), entrants.members.get(name, ())
    if not own.cpcv_groups or model.sequential or any(each.sequential for each, _ in members):
        return None
    chosen = splits(
        label_keys(panel, venue.label.name),
        groups=own.cpcv_groups,
        test_groups=own.cpcv_test_groups,
        numbers=numbers(dated),
    )
    try:
        found = cpcv_scores(
            panel,
            venue.label.name,
            chosen,
            lambda frame, target: fit(model, frame, target, given, ledger=venue.ledger, members=members),
            outcome=venue.outcome.name,
            progress=venue.progress,
        )
    except (Refused, StorageFailed, IntegrityBroken):
        raise
    except Exception as failure:
        return {"model": name, "why": f"{type(failure).__name__}: {failure}"}
    ics, ratios = found.table["rank_ic"].drop_nulls(), found.table["sharpe"].drop_nulls()
    return {
        "model": name,
        "paths": found.table.height,
        "splits": len(chosen),
        "rank_ic_mean": ics.mean(),
        "rank_ic_lowest": ics.min(),
        "rank_ic_highest": ics.max(),
        "score_sharpe_mean": ratios.mean(),
        "score_sharpe_lowest": ratios.min(),
        "paths_below_zero": int((ics < 0).sum()),
    }
