"""What a structure made of a day, and which structure was the best in hindsight, from the table of counterfactuals."""

from __future__ import annotations

import polars as pl

from openbell.core.declare import label

#: Sessions that an outcome can take: 45 days to the near expiry, a third more where none is listed nearer.
HORIZON = 42


@label(
    reads="counterfactuals", unit="log growth per unit of risk", name="structure_utility", over={"horizon": [HORIZON]}
)
def structure_utility(horizon: int) -> pl.Expr:
    """Mean over the parameter sets of a structure of ``log(1 + f r) / f``, r the profit per unit of largest loss.

    Of the sets that could be had that day; null where none could. A rule never makes a label: it is realised profit.
    """
    return pl.col("utility").mean()


@label(reads="hindsight", unit="structure", name="hindsight_structure", over={"horizon": [HORIZON]})
def hindsight_structure(horizon: int) -> pl.Expr:
    """The structure with the largest utility of the day; of equal ones the first in the order of the desk."""
    had = pl.col("structure_utility").is_not_null()
    return pl.col("structure").filter(had).get(pl.col("structure_utility").drop_nulls().arg_max(), null_on_oob=True)


@label(reads="hindsight", unit="log growth per unit of risk", name="hindsight_margin", over={"horizon": [HORIZON]})
def hindsight_margin(horizon: int) -> pl.Expr:
    """How much better the best structure of the day was than the second; null where fewer than two could be had."""
    ranked = pl.col("structure_utility").drop_nulls().sort(descending=True)
    return ranked.get(0, null_on_oob=True) - ranked.get(1, null_on_oob=True)
