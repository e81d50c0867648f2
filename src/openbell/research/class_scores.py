"""Scoring classes beside the base rates that were known: what every walk of class probabilities shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Protocol

import numpy as np
import polars as pl

from openbell.quant.day_blocks import DayBlocks, ratio
from openbell.quant.intervals import MINIMUM_BLOCKS, Estimate
from openbell.quant.reliability import EPSILON
from openbell.quant.significance import SuperiorSet, mean_block, stepm
from openbell.research.signal_votes import BASE_RATE


class Judged(Protocol):
    """The forecasts of one model with a known outcome."""

    @property
    def name(self) -> str:
        """Of the model."""
        ...

    @property
    def rows(self) -> pl.DataFrame:
        """``session``, ``as_of``, ``symbol`` and whatever else was said."""
        ...

    @property
    def gains(self) -> np.ndarray:
        """(n,) log-loss of the base rates known less the model's, nats."""
        ...


def recorded(found: Any) -> dict[str, Any]:
    """The fields of a dataclass of scores as plain values; what is not finite is null."""
    return {each.name: _plain(getattr(found, each.name)) for each in fields(found)}


def restored(kind: type[Any], record: Mapping[str, Any]) -> Any:
    """The dataclass of scores of this `kind` that `recorded` told."""
    values: dict[str, Any] = {}
    for each in fields(kind):
        value = record[each.name]
        if each.type == "pl.DataFrame":
            value = pl.DataFrame(value, infer_schema_length=None)
        values[each.name] = tuple(value) if isinstance(value, list) else value
    return kind(**values)


def _plain(value: Any) -> Any:
    if isinstance(value, pl.DataFrame):
        floats = [name for name, kind in value.schema.items() if kind.is_float()]
        return value.with_columns(pl.when(pl.col(x).is_finite()).then(pl.col(x)).alias(x) for x in floats).to_dicts()
    return list(value) if isinstance(value, tuple) else value


def losses(probabilities: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Minus the logarithm of the probability of what happened, nats, (n,); held as `quant.reliability.log_loss` is."""
    return np.asarray(-np.log(np.clip(probabilities[np.arange(len(label)), label], EPSILON, 1.0)))


def running_base_rates(rows: pl.DataFrame, codes: Sequence[int], names: Sequence[str]) -> pl.DataFrame:
    """Share of each class among the labels known at the first decision of each session, over all symbols.

    Parameters
    ----------
    rows : ``session``, ``as_of``, ``label``, ``label_known_at``: every decision, those before the walk among them.
    codes : of the k classes. names : of the columns of their shares.

    Returns
    -------
    polars.DataFrame
        ``session`` and `names`: ``(n_k + 1) / (n + k)``, the rule of succession, 1 / k where nothing is known and
        never 0.
    """
    asked = rows.group_by("session").agg(pl.col("as_of").min().alias("at")).sort("at")
    known = rows.filter(pl.col("label").is_not_null()).sort("label_known_at", maintain_order=True)
    counts = known.select(
        pl.col("label_known_at").alias("at"),
        *(
            (pl.col("label") == code).cast(pl.Float64).cum_sum().alias(name)
            for code, name in zip(codes, names, strict=True)
        ),
    )
    found = asked.join_asof(counts, on="at", strategy="backward").with_columns(pl.col(names).fill_null(0.0))
    total = pl.sum_horizontal(*names) + float(len(codes))
    return found.select("session", *((pl.col(name) + 1.0) / total for name in names))


def day_blocks(rows: pl.DataFrame, horizon: int, replications: int, seed: int) -> DayBlocks:
    """The resamples of the sessions of `rows`."""
    return DayBlocks.of(rows["session"].to_numpy(), horizon_days=horizon, replications=replications, seed=seed)


def share_among(blocks: DayBlocks, event: np.ndarray, among: np.ndarray) -> Estimate:
    """Share of the rows `among` on which `event` holds."""
    return blocks.statistic(blocks.sums(np.column_stack([event & among, among]).astype(np.float64)), ratio)


def label_horizon(rows: pl.DataFrame) -> int:
    """Sessions from a decision to the moment its outcome is known, the longest; 1 within the session."""
    opens = rows.group_by("session").agg(pl.col("as_of").min()).sort("session")
    begins = opens["as_of"].dt.epoch("us").to_numpy()
    own = np.searchsorted(opens["session"].to_physical().to_numpy(), rows["session"].to_physical().to_numpy())
    known = np.searchsorted(begins, rows["label_known_at"].dt.epoch("us").to_numpy(), side="left")
    return max(1, int((known - own).max()))


def superior(
    found: Sequence[Judged], horizon: int, alpha: float, replications: int, seed: int
) -> tuple[SuperiorSet | None, tuple[str, ...]]:
    """StepM of the candidates in nats over the base rates, on the decisions of which all of them speak."""
    candidates = [each for each in found if each.name != BASE_RATE]
    if not candidates:
        return None, ("There is no candidate, only the base rate that candidates have to beat.",)
    keys = ["as_of", "symbol"]
    shared = candidates[0].rows.select(keys)
    for each in candidates[1:]:
        shared = shared.join(each.rows.select(keys), on=keys, how="semi", maintain_order="left")
    left = max(each.rows.height for each in candidates) - shared.height
    tables = [
        each.rows.select(*keys, "session", pl.Series("gain", each.gains)).join(shared, on=keys, how="semi")
        for each in candidates
    ]
    days = shared.join(candidates[0].rows.select(*keys, "session"), on=keys)["session"].n_unique()
    needed = MINIMUM_BLOCKS * mean_block(horizon, max(days, 1), 2.0)
    if days < needed:
        return None, (f"Nothing can be proven: {days} days are too few; {needed} are needed.",)
    # Per decision: what a day adds to the mean over decisions; days with more of them weigh more, as in the interval.
    sums = [table.group_by("session").agg(pl.col("gain").sum()).sort("session")["gain"].to_numpy() for table in tables]
    values = np.column_stack(sums) * (days / shared.height)
    names = [each.name for each in candidates]
    test = stepm(values, names, horizon=horizon, alpha=alpha, replications=max(replications, 1000), seed=seed)
    head = (
        f"StepM against the base rates at {alpha:.1%}, one-sided: {test.tries} candidates on {test.dates} days, mean "
        f"block {test.block_sessions} days, {test.replications:,} replications, in nats."
    )
    less = f"{left:,} decisions of which not all candidates speak are left out of the test."
    told = [
        f"`{name}`: studentised skill {test.statistic[at]:+.2f}, family-wise p {test.p_value[at]:.3f}."
        for at, name in enumerate(test.names)
    ]
    return test, (head, *([less] if left else []), *told)
