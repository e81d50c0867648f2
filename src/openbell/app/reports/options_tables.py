"""The tables of an option decision as rows: legs, figures with their doubt, parameter sets, verdicts, the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app.outputs import finite, plain_rows
from openbell.core.proposal import Proposal
from openbell.core.types import Outcome
from openbell.quant.intervals import wilson

if TYPE_CHECKING:
    from openbell.app.options_daily import Decided


def safety_rows(decided: Decided) -> list[dict[str, str]]:
    """Verdicts, the gravest first; a check that the data cannot feed reads ``unavailable``."""
    order = {"BLOCK": 0, "SHRINK": 1, "unavailable": 2, "ALLOW": 3}
    rows = [
        {
            "check": each.check.replace("_", " "),
            "word": each.outcome.value if each.available or each.outcome is not Outcome.ALLOW else "unavailable",
            "why": each.why,
        }
        for each in decided.decision.verdicts
    ]
    return sorted(rows, key=lambda row: (order[row["word"]], row["check"]))


def leg_rows(proposal: Proposal, units: int) -> list[dict[str, Any]]:
    """A row per leg: what is bought or sold, at which quotes, and the price that the decision reckons with."""
    assert proposal.structure_legs is not None
    rows = []
    for leg, quote in zip(proposal.structure_legs.legs, plain_rows(proposal.quotes), strict=True):
        of = leg.instrument
        rows.append(
            {
                "side": "buy" if leg.ratio > 0 else "sell",
                "quantity": abs(leg.ratio) * units,
                "contract": of.key,
                "right": str(of.right).lower(),
                "strike": of.strike,
                "expiry": of.expiry,
                "settlement": str(of.settlement),
                **{name: quote.get(name) for name in ("bid", "ask", "iv", "delta")},
            }
        )
    return rows


def figures(decided: Decided, proposal: Proposal, units: int) -> dict[str, Any]:
    """Intervals and counts of the numbers of S0.11: of the account, of the days that won, and of the score."""
    stats = {name: finite(value) for name, value in proposal.statistics.items()}
    share = proposal.max_loss_usd * units / decided.account.book.value_usd
    alone = round(stats["effective_n"] or 0)
    judged = alone > 0 and stats["win_rate"] is not None
    low, high = wilson(round(stats["win_rate"] * alone), alone) if judged else (None, None)
    assert decided.now is not None
    return {
        **stats,
        "alone": alone,
        "level": decided.now.settings.level,
        "win_low": low,
        "win_high": high,
        "account_low": None if stats["low"] is None else stats["low"] * share,
        "account_high": None if stats["high"] is None else stats["high"] * share,
    }


def parameter_rows(proposal: Proposal) -> dict[str, Any]:
    """Every parameter set by the lower bound of its score, the chosen one marked; the reasons of the rest in groups."""
    frame = proposal.tested
    asked = [name for name in frame.columns if name.startswith("grid_")]
    if frame.is_empty():
        return {"rows": [], "asked": asked, "strikes": [], "groups": [], "span": (0.0, 1.0), "chosen": None}
    strikes = frame.columns[len(asked) : frame.columns.index("n")]
    chosen = _chosen(proposal)
    ordered = frame.with_row_index("set").sort(
        [pl.col("refused").is_not_null(), "score_low", "score", "set"],
        descending=[False, True, True, False],
        nulls_last=True,
    )
    rows = [{**row, "chosen": row["set"] == chosen} for row in plain_rows(ordered)]
    bounds = [0.0, *(row[name] for row in rows for name in ("score_low", "score_high") if row[name] is not None)]
    room = 0.05 * ((max(bounds) - min(bounds)) or 1.0)
    return {
        "rows": rows,
        "asked": [(name, name.removeprefix("grid_").replace("_", " ")) for name in asked],
        "strikes": strikes,
        "groups": grouped(frame),
        "span": (min(bounds) - room, max(bounds) + room),
        "chosen": chosen,
    }


def _chosen(proposal: Proposal) -> int | None:
    """The row of `Proposal.tested` that was chosen: the one with the parameters that are traded."""
    if not proposal.executable:
        return None
    same = [pl.col(name) == value for name, value in proposal.parameters.items() if name in proposal.tested.columns]
    rows = proposal.tested.with_row_index("set").filter(pl.all_horizontal(*same, pl.col("refused").is_null()))
    return None if rows.is_empty() else int(rows["set"][0])


def grouped(tested: pl.DataFrame) -> list[tuple[int, str, str]]:
    """Each kind of reason against a set: how many it meets, whether it is a refusal or an objection, and one of it."""
    rows = tested.select(
        pl.coalesce("refused", "objection").alias("why"),
        pl.when(pl.col("refused").is_not_null())
        .then(pl.lit("cannot be had"))
        .otherwise(pl.lit("would not be traded"))
        .alias("as"),
    ).drop_nulls("why")
    kinds = rows.with_columns(pl.col("why").str.replace_all(r"[\d,]*\d(\.\d+)?", "…").alias("kind"))
    found = kinds.group_by("as", "kind", maintain_order=True).agg(pl.len().alias("n"), pl.col("why").first())
    return list(found.sort("n", "why", descending=[True, False]).select("n", "as", "why").iter_rows())


def quality(decided: Decided) -> dict[str, Any]:
    """What the decision stands on: the chain of the day, what is modelled of the past, and what is missing."""
    days = decided.data.chain_days
    known_on = decided.features.known_on
    today = plain_rows(days.filter(pl.col("session") == known_on))
    modelled = int(days["modelled"].sum()) if days.height else 0
    quotes = None if decided.now is None else decided.now.quotes
    return {
        "known_on": known_on,
        "today": today[0] if today else None,
        "quotes": None if quotes is None else _chain_counts(quotes),
        "days": days.height,
        "modelled_days": modelled,
        "quoted_days": days.height - modelled,
        "surfaces": len(decided.data.sessions),
        "modelled_surfaces": int(decided.data.surfaces.modelled.sum()),
        "unavailable": dict(decided.features.reasons),
        "remarks": list(dict.fromkeys([*decided.features.notes, *decided.data.remarks])),
    }


def _chain_counts(quotes: pl.DataFrame) -> dict[str, Any]:
    one = quotes.select(
        pl.len().alias("contracts"),
        pl.col("expiry").n_unique().alias("expiries"),
        pl.col("expiry").min().alias("first"),
        pl.col("expiry").max().alias("last"),
        (pl.col("bid").fill_null(0.0) <= 0).sum().alias("without_bid"),
        pl.col("iv").is_null().sum().alias("without_iv"),
        (pl.col("ask") < pl.col("bid")).sum().alias("crossed"),
        pl.col("modelled").sum().alias("modelled"),
        pl.col("source").first(),
    )
    return one.row(0, named=True)
