"""What a random split of trades claims on a market without any edge, and what a split by days says of the same model.

Trades of a day share its close. A split that draws rows at random puts trades of one day on both sides, and a model
that can tell the day (its volatility, its price level) looks up what became of it. The model, its settings and its
split are those of a public system of this kind: XGBoost with 200 trees of depth 4 per symbol and strategy, one fifth
of the rows drawn at random to test on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

#: What such systems hand their models, besides features: raw levels, which name the day.
RAW = ("price", "premium", "predicted", "low", "high", "target1", "target2", "strike1", "strike2", "strike3", "strike4",
       "vix", "previous_close", "sma20")  # fmt: skip
SETTINGS = {"n_estimators": 200, "max_depth": 4, "learning_rate": 0.1, "random_state": 42, "n_jobs": 1}
TEST_SHARE = 0.2
LEAST = 100


@dataclass(frozen=True)
class Claim:
    """What one way to split says: over all pairs, and how far it is from what the price alone reaches."""

    split: str
    pairs: int
    tested: int
    accuracy: float
    best_pair: float
    base_accuracy: float
    price_accuracy: float
    auc: float
    log_loss: float
    price_log_loss: float


def claims(rows: pl.DataFrame, columns: Sequence[str], *, seed: int = 0) -> list[Claim]:
    """The same models by three splits: rows at random, days at random, and the last days."""
    return [_claim(rows, columns, split, seed) for split in ("random rows", "random days", "last days")]


def _test(rows: pl.DataFrame, split: str, rng: np.random.Generator) -> np.ndarray:
    """(n,) which rows are tested on."""
    if split == "random rows":
        return rng.random(rows.height) < TEST_SHARE
    days = rows["session"].unique().sort().to_numpy()
    count = max(1, round(TEST_SHARE * len(days)))
    chosen = days[-count:] if split == "last days" else rng.choice(days, count, replace=False)
    return np.isin(rows["session"].to_numpy(), chosen)


def _claim(rows: pl.DataFrame, columns: Sequence[str], split: str, seed: int) -> Claim:
    from sklearn.metrics import log_loss, roc_auc_score
    from xgboost import XGBClassifier

    rng = np.random.default_rng(seed)
    said, won, price, shares, base = [], [], [], [], []
    for _, part in sorted(rows.partition_by("symbol", "strategy", as_dict=True).items()):
        if part.height < LEAST:
            continue
        x = part.select(pl.col(columns).cast(pl.Float64).fill_null(float("nan"))).to_numpy()
        y, test = part["win"].to_numpy(), _test(part, split, rng)
        if len(np.unique(y[~test])) < 2 or not test.any():
            continue
        p = XGBClassifier(**SETTINGS).fit(x[~test], y[~test]).predict_proba(x[test])[:, 1]
        said.append(p)
        won.append(y[test])
        price.append(part["price_probability"].to_numpy()[test])
        shares.append(float(((p >= 0.5) == y[test]).mean()))
        base.append(np.full(test.sum(), y[~test].mean() >= 0.5))
    p, y, q = (np.concatenate(each) for each in (said, won, price))
    return Claim(
        split=split,
        pairs=len(shares),
        tested=len(y),
        accuracy=float(((p >= 0.5) == y).mean()),
        best_pair=max(shares),
        base_accuracy=float((np.concatenate(base) == y).mean()),
        price_accuracy=float(((q >= 0.5) == y).mean()),
        auc=float(roc_auc_score(y, p)),
        log_loss=float(log_loss(y, p)),
        price_log_loss=float(log_loss(y, q)),
    )
