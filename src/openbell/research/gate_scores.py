"""What models of proposed trades were worth, out of sample: beside the price, beside the base rate, beside taking all.

The headline is the skill over the price: how many nats of log-loss per trade, and how many dollars per day, a model
gains on what the price of the trade already says. Trades of a day share its close, so every interval resamples days.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import polars as pl

from openbell.quant.intervals import MINIMUM_BLOCKS
from openbell.quant.significance import SuperiorSet, mean_block, stepm
from openbell.research.gate_judged import BASELINES, Judged, bounded, judged, log_losses, scores_of
from openbell.research.gate_parts import by_quarter, errors_by_symbol, level_weights, ratio, reliability, thresholds


@dataclass(frozen=True, slots=True, eq=False)
class GateScores:
    """Every figure of one walk, each with what is needed to judge it; a column ``x`` has ``x_low`` and ``x_high``.

    Attributes
    ----------
    models : a row per model, with the two baselines. cells : per model, symbol and strategy. thresholds : per model and
        strategy, what each rule made. errors : per model and symbol, losers taken and winners left. daily : per
        session, what taking all, taking by the price and each model made, USD. reliability : per model and bin.
        quarters : calibration per model and quarter. ratio : per strategy, Spearman of reward over risk with profit.
        weights : per model and cell, the mean weight of each level.
    proven : models that know more than the price: interval above 0 and a survivor of StepM at `alpha`.
    why : sentences on the test. trades, days, first, last : of the walk. modelled : what was made up, in a word, else
        empty.
    """

    models: pl.DataFrame
    cells: pl.DataFrame
    thresholds: pl.DataFrame
    errors: pl.DataFrame
    daily: pl.DataFrame
    reliability: pl.DataFrame
    quarters: pl.DataFrame
    ratio: pl.DataFrame
    weights: pl.DataFrame
    proven: tuple[str, ...]
    why: tuple[str, ...]
    trades: int
    days: int
    first: str
    last: str
    alpha: float
    modelled: str = ""

    @property
    def best(self) -> str | None:
        """The candidate with the largest skill over the price, proven or not; None without candidates."""
        found = self.models.filter(pl.col("kind") == "candidate").sort("skill_nats", "model", descending=[True, False])
        return None if found.is_empty() else str(found["model"][0])

    @property
    def shown(self) -> str | None:
        """The model that a report looks at closely: of those that are proven, else of all, the one with most skill."""
        return self.proven[0] if self.proven else self.best

    @property
    def record(self) -> dict[str, Any]:
        """As plain values: what is not finite is null, dates are text."""
        return {each.name: _plain(getattr(self, each.name)) for each in fields(self)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> GateScores:
        """The scores that `record` tells."""
        values: dict[str, Any] = {}
        for each in fields(cls):
            value = record[each.name]
            if each.type == "pl.DataFrame":
                value = pl.DataFrame(value, infer_schema_length=None)
                dates = [name for name in ("session", "quarter") if name in value.columns]
                value = value.with_columns(pl.col(dates).str.to_date()) if dates else value
            values[each.name] = tuple(value) if isinstance(value, list) else value
        return cls(**values)


def _plain(value: Any) -> Any:
    if isinstance(value, pl.DataFrame):
        dates = [name for name, kind in value.schema.items() if kind == pl.Date]
        floats = [name for name, kind in value.schema.items() if kind.is_float()]
        shown = value.with_columns(
            pl.col(dates).cast(pl.String), *(pl.when(pl.col(x).is_finite()).then(pl.col(x)).alias(x) for x in floats)
        )
        return shown.to_dicts()
    return list(value) if isinstance(value, tuple) else value


def scored(
    walk: pl.DataFrame, *, alpha: float = 0.01, replications: int = 2000, seed: int = 0, modelled: str = ""
) -> GateScores:
    """Judge every model of a walk.

    Parameters
    ----------
    walk : as `gate_walk.walk` gives it. alpha : family-wise error of StepM over the candidates, one-sided, once for
        nats and once for dollars. replications : of the bootstrap of days, at least 1,000. seed : of it.
    modelled : the word that stands beside every figure where trades were made up: ``generated`` or ``modelled``.
    """
    found = judged(walk, replications=replications, seed=seed)
    candidates = [name for name in found.said if name not in BASELINES]
    tests, why = _tested(found, candidates, alpha, replications, seed)
    models = pl.DataFrame([_model_row(found, name, tests) for name in found.said], infer_schema_length=None)
    by_skill = models.sort("skill_nats", "model", descending=[True, False])
    proven = tuple(by_skill.filter(pl.col("proven"))["model"].to_list())
    return GateScores(
        models=models,
        cells=_cells(found),
        thresholds=thresholds(found),
        errors=errors_by_symbol(found),
        daily=_daily(found),
        reliability=reliability(found),
        quarters=by_quarter(found, replications, seed),
        ratio=ratio(found),
        weights=level_weights(found),
        proven=proven,
        why=why,
        trades=found.keys.height,
        days=found.blocks.days,
        first=str(found.keys["session"].min()),
        last=str(found.keys["session"].max()),
        alpha=alpha,
        modelled=modelled,
    )


def _tested(
    found: Judged, candidates: Sequence[str], alpha: float, replications: int, seed: int
) -> tuple[dict[str, SuperiorSet], tuple[str, ...]]:
    """StepM of the candidates in nats and in dollars, and what it was made of, in sentences."""
    if not candidates:
        return {}, ("There is no candidate, only what candidates have to beat.",)
    needed = MINIMUM_BLOCKS * mean_block(found.horizon_days, found.blocks.days, 2.0)
    if found.blocks.days < needed:
        return {}, (f"Nothing can be proven: {found.blocks.days} days are too few; {needed} are needed.",)
    tests = {
        unit: stepm(
            np.column_stack([found.blocks.sums(_gain(found, name, unit))[:, 0] * scale for name in candidates]),
            candidates,
            horizon=found.horizon_days,
            alpha=alpha,
            replications=max(replications, 1000),
            seed=seed,
        )
        # Per trade: what a day adds to the mean over trades; days with more trades weigh more, as in the interval.
        for unit, scale in (("nats", found.blocks.days / found.keys.height), ("usd", 1.0))
    }
    nats = tests["nats"]
    head = (
        f"StepM against the price at {alpha:.1%}, one-sided: {nats.tries} candidates on {nats.dates} days, mean block "
        f"{nats.block_sessions} days, {nats.replications:,} replications, once in nats and once in dollars."
    )
    each = [
        f"`{name}`: studentised skill {nats.statistic[at]:+.2f}, family-wise p {nats.p_value[at]:.3f}; in dollars "
        f"{tests['usd'].statistic[at]:+.2f}, p {tests['usd'].p_value[at]:.3f}."
        for at, name in enumerate(nats.names)
    ]
    return tests, (head, *each)


def _gain(found: Judged, name: str, unit: str) -> np.ndarray:
    """Per trade, what the model gains on the price: nats, or USD of the rule less what the price alone takes."""
    said = found.said[name]
    if unit == "nats":
        price = found.keys["price_probability"].to_numpy()
        return log_losses(price, found.win) - log_losses(said["probability"].to_numpy(), found.win)
    return np.asarray(found.profit * (said["take"].to_numpy().astype(np.float64) - found.price_take))


def _model_row(found: Judged, name: str, tests: Mapping[str, SuperiorSet]) -> dict[str, Any]:
    """All figures of one model over all its trades."""
    said, blocks, keys = found.said[name], found.blocks, found.keys
    take = said["take"].to_numpy()
    price, base = keys["price_probability"].to_numpy(), keys["base_rate"].to_numpy()
    row = {
        "model": name,
        "kind": "baseline" if name in BASELINES else "candidate",
        "n": keys.height,
        "days": blocks.days,
        **scores_of(blocks, said["probability"].to_numpy(), price, base, found.win),
        "taken": int(take.sum()),
        **bounded("usd_per_day", blocks.per_day(found.profit * take)),
        **bounded("usd_over_all", blocks.per_day(found.profit * (take - 1.0))),
        **bounded("usd_over_price", blocks.per_day(_gain(found, name, "usd"))),
        **_consistency(found, take),
    }
    return {**row, **_verdict(name, row, tests)}


def _verdict(name: str, row: Mapping[str, Any], tests: Mapping[str, SuperiorSet]) -> dict[str, Any]:
    """Whether it is proven: its interval above 0, and a survivor of StepM; in nats (`proven`) and in USD (`earns`)."""
    found: dict[str, Any] = {}
    for unit, column, word in (("nats", "skill_nats", "proven"), ("usd", "usd_over_price", "earns")):
        test = tests.get(unit)
        at = test.names.index(name) if test is not None and name in test.names else None
        survives = test is not None and at is not None and bool(test.survives[at])
        low = row[f"{column}_low"]
        found[f"p_{unit}"] = float(test.p_value[at]) if test is not None and at is not None else None
        found[word] = survives and low is not None and low > 0
    return found


def _consistency(found: Judged, take: np.ndarray) -> dict[str, float | None]:
    """Profit against taking every trade, and how even the days are (S1.39); None where there is nothing to divide."""
    ours, all_of_them = (found.blocks.sums(found.profit * each)[:, 0] for each in (take, np.ones(len(take))))
    lost = found.profit <= 0
    whole = float(all_of_them.sum())
    return {
        "profit_uplift": float((ours.sum() - whole) / whole) if whole > 0 else None,
        "losers_fewer": float(1.0 - (take & lost).sum() / lost.sum()) if lost.any() else None,
        "days_won": float((ours > 0).mean()),
        "days_won_taking_all": float((all_of_them > 0).mean()),
        "usd_deviation": float(ours.std(ddof=1)) if len(ours) > 1 else None,
        "usd_deviation_taking_all": float(all_of_them.std(ddof=1)) if len(ours) > 1 else None,
    }


def _cells(found: Judged) -> pl.DataFrame:
    """Every model in every symbol and strategy."""
    keys, rows = found.keys, []
    price, base = keys["price_probability"].to_numpy(), keys["base_rate"].to_numpy()
    for symbol, strategy in keys.select("symbol", "strategy").unique().sort("symbol", "strategy").iter_rows():
        here = keys.select((pl.col("symbol") == symbol) & (pl.col("strategy") == strategy)).to_series().to_numpy()
        part = found.blocks.part(here)
        for name, said in found.said.items():
            take = said["take"].to_numpy()[here]
            rows.append(
                {
                    "model": name, "symbol": symbol, "strategy": strategy, "n": int(here.sum()), "days": part.days,
                    **scores_of(part, said["probability"].to_numpy()[here], price[here], base[here], found.win[here]),
                    "taken": int(take.sum()),
                    "usd_taken": float((found.profit[here] * take).sum()),
                    "usd_taking_all": float(found.profit[here].sum()),
                }
            )  # fmt: skip
    return pl.DataFrame(rows, infer_schema_length=None)


def _daily(found: Judged) -> pl.DataFrame:
    """USD of each session by who decides; the baselines are ``take_all`` and ``price``."""
    taken = {
        "take_all": np.ones(found.keys.height),
        "price": found.price_take,
        **{name: said["take"].to_numpy() for name, said in found.said.items() if name not in BASELINES},
    }
    days = found.keys["session"].unique().sort()
    sums = found.blocks.sums(np.column_stack([found.profit * each for each in taken.values()]))
    return pl.DataFrame({"session": days, **{name: sums[:, at] for at, name in enumerate(taken)}})
