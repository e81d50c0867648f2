"""Proofs that the features of options cannot see the future, and that their look-backs are what they say."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from openbell.core.declare import Feature
from openbell.core.time import Sessions
from openbell.quant.feature_groups import EIGHTY_FOUR
from openbell.quant.reach import feature_reach, lookback
from openbell.research.audit import (
    CAUSALITY,
    FINITE_TOLERANCE,
    LOOKBACK,
    RECURSIVE_TOLERANCE,
    AuditResult,
    static_results,
)
from openbell.research.chain_features import chain_day_features, option_features


@dataclass(frozen=True, slots=True, eq=False)
class OptionInputs:
    """Everything that `option_features` reads, each frame with the column ``session``; `quotes` instead of days."""

    underlying: str
    bars: pl.DataFrame
    benchmark: pl.DataFrame
    volatility_index: pl.DataFrame
    quotes: pl.DataFrame
    sessions: Sessions

    def between(self, first: dt.date, last: dt.date) -> OptionInputs:
        """The rows from `first` to `last`; all others are gone."""
        kept = pl.col("session").is_between(first, last)
        frames = (self.bars, self.benchmark, self.volatility_index, self.quotes)
        bars, benchmark, index, quotes = (each.filter(kept) for each in frames)
        return replace(self, bars=bars, benchmark=benchmark, volatility_index=index, quotes=quotes)

    def values(self, features: Sequence[Feature], last: dt.date | None = None) -> pl.DataFrame:
        """The 84 from the rows that are there, at the session `last` alone where it is given."""
        return option_features(
            self.underlying,
            self.bars,
            benchmark=self.benchmark,
            volatility_index=self.volatility_index,
            chain_days=chain_day_features(self.quotes, features),
            sessions=self.sessions,
            features=features,
            first=last,
        ).frame


def audit_option_features(
    inputs: OptionInputs, features: Sequence[Feature], *, cuts: int = 6, seed: int = 0
) -> list[AuditResult]:
    """Prove the 84 causal, and their look-backs sufficient, on the data themselves.

    *Static*: the tree of each expression. *Causality*: at `cuts` random sessions every later row of every table, quotes
    included, is removed and everything is computed again; every value that is left must be equal bit by bit.
    *Look-back* of those that read more than bars (`audit_features` proves the others): each value at a cut is computed
    again from its look-back alone, and must agree within 1e-9 (finite windows) or 1e-6 (recursions) of the feature's
    own standard deviation, with the same null.
    """
    rng = np.random.default_rng(seed)
    full = inputs.values(features)
    drawn = np.sort(rng.choice(full.height, size=min(cuts, full.height), replace=False))
    chosen = full["session"][drawn.tolist()].to_list()
    of_chains = [each for each in features if each.reads != "bars"]
    results = static_results(features)
    results += _causality(inputs, features, full, chosen)
    return results + _lookbacks(inputs, features, of_chains, full, chosen)


def audit_chain_features(
    quotes: pl.DataFrame, features: Sequence[Feature], *, cuts: int = 6, seed: int = 0
) -> list[AuditResult]:
    """Prove features of one chain alone, beside the 84: *static*, *causality* and *look-back* as for those.

    The look-back is one chain, so both proofs are of bits: without the chains of later sessions, and without those of
    all others, every value is the same.
    """
    full = chain_day_features(quotes, features)
    rng = np.random.default_rng(seed)
    drawn = np.sort(rng.choice(full.height, size=min(cuts, full.height), replace=False)).tolist()
    results = static_results(features)
    for proof in (CAUSALITY, LOOKBACK):
        again = []
        for cut in full["session"][drawn]:
            kept = pl.col("session") <= cut if proof == CAUSALITY else pl.col("session") == cut
            again.append(chain_day_features(quotes.filter(kept), features))
        results += [_of_chain(each.name, proof, full, again) for each in features]
    return results


def _of_chain(name: str, proof: str, full: pl.DataFrame, again: Sequence[pl.DataFrame]) -> AuditResult:
    key = ["underlying", "session"]
    pairs = pl.concat([each.select(*key, name) for each in again]).join(full.select(*key, name), on=key, suffix=" full")
    bad = pairs.filter(pl.col(name).ne_missing(pl.col(f"{name} full")))
    if bad.is_empty():
        return AuditResult(
            name, proof, True, f"{pairs.height:,} values are bit-equal without the others.", pairs.height
        )
    row = bad.row(0, named=True)
    what = "sees the future" if proof == CAUSALITY else "needs more than its own chain"
    return AuditResult(
        name, proof, False, f"`{name}` {what}: {row[f'{name} full']} against {row[name]} on {row['session']}.",
        pairs.height, where=f"{row['underlying']} {row['session']}",
    )  # fmt: skip


def _causality(
    inputs: OptionInputs, features: Sequence[Feature], full: pl.DataFrame, chosen: Sequence[dt.date]
) -> list[AuditResult]:
    compared, failed = 0, dict[str, str]()
    begin = full["session"].min()
    assert isinstance(begin, dt.date)
    for cut in chosen:
        again = inputs.between(begin, cut).values(features)
        before = full.filter(pl.col("session") <= cut)
        compared += before.height
        for name in EIGHTY_FOUR:
            if name not in failed and not before[name].equals(again[name], null_equal=True):
                failed[name] = f"`{name}` sees the future: values change without the rows after {cut}."
    return [
        AuditResult(
            name, CAUSALITY, name not in failed,
            failed.get(name, f"{compared:,} values are bit-equal without the future."), compared,
        )
        for name in EIGHTY_FOUR
    ]  # fmt: skip


def _lookbacks(
    inputs: OptionInputs,
    features: Sequence[Feature],
    of_chains: Sequence[Feature],
    full: pl.DataFrame,
    chosen: Sequence[dt.date],
) -> list[AuditResult]:
    worst = dict.fromkeys((each.name for each in of_chains), 0.0)
    failed: dict[str, str] = {}
    for rows in sorted({lookback(each) for each in of_chains}):
        group = [each for each in of_chains if lookback(each) == rows]
        for cut in chosen:
            at = inputs.sessions.index(cut)
            again = inputs.between(inputs.sessions.dates[max(at - rows + 1, 0)], cut).values(features, cut)
            for each in group:
                _compare(each, full, again, cut, worst, failed)
    return [
        AuditResult(
            each.name, LOOKBACK, each.name not in failed,
            failed.get(each.name, f"{len(chosen)} values follow from {lookback(each)} sessions."), len(chosen),
            worst[each.name],
        )
        for each in of_chains
    ]  # fmt: skip


def _compare(
    feature: Feature,
    full: pl.DataFrame,
    again: pl.DataFrame,
    cut: dt.date,
    worst: dict[str, float],
    failed: dict[str, str],
) -> None:
    name = feature.name
    told, found = full.filter(pl.col("session") == cut)[name].item(), again[name].item()
    tolerance = RECURSIVE_TOLERANCE if feature_reach(feature).recursive else FINITE_TOLERANCE
    deviation = full[name].std()
    scale = deviation if isinstance(deviation, float) and deviation > 0 else 1.0
    error = 0.0 if told is None or found is None else abs(told - found) / scale
    worst[name] = max(worst[name], error)
    if (told is None) != (found is None) or error > tolerance:
        failed[name] = f"`{name}` needs more than its {lookback(feature)} sessions: {told} against {found} on {cut}."
