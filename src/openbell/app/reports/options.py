"""``report.html`` of the options desk: the decision and why, what it rests on, and what such decisions were worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from openbell.app.options_output import decision_json
from openbell.app.reports import options_charts as charts
from openbell.app.reports.options_board import board, finite, plain_rows, training_report
from openbell.app.reports.options_curves import ProfitCurves, profit_curves, smile, state_map
from openbell.core.outlook import quantile_columns
from openbell.core.proposal import Proposal
from openbell.core.types import Outcome
from openbell.research.option_scores import wilson

if TYPE_CHECKING:
    from openbell.app.options_daily import Decided

__all__ = ["options_report", "training_report"]

#: Similar days that the page shows before the reader asks for all.
NEAREST = 10
#: Strikes of the picture of the smile, in standard deviations from the spot.
SMILE_DEVIATIONS = 3.0


def options_report(decided: Decided, ordered: bool) -> str:
    """One self-contained page that opens offline, on a phone and on paper: the same decision gives the same bytes."""
    from openbell.app.reports.page import render

    return render("options.html.jinja", context(decided, ordered))


def context(decided: Decided, ordered: bool) -> dict[str, Any]:
    """What the template is given; every number of the decision is the one that is in ``decision.json``."""
    output = decision_json(decided)
    words, tone = headline(decided)
    proposal = decided.proposal
    return {
        "output": output,
        "decision": decided.decision,
        "headline": words,
        "tone": tone,
        "ordered": ordered,
        "modelled": output["modelled"],
        "reasons": _reasons(decided, output),
        "missing": decided.features.missing,
        "safety": safety_rows(decided),
        "board": board(decided.training),
        "quality": quality(decided),
        "position": None if proposal is None or not proposal.executable else _position(decided, proposal, output),
        "structures": _structures(decided),
        "tested": None if proposal is None else parameter_rows(proposal),
        "level": None if decided.now is None else decided.now.settings.level,
        "similar": None if proposal is None else _similar(decided, proposal),
        "outlook": decided.outlook,
        "passed": _passed(decided),
    }


def headline(decided: Decided) -> tuple[str, str]:
    """What to do, in a few words, and its tone: ``act``, ``rest`` or ``stop``."""
    decision = decided.decision
    if decision.details.get("abstained") or decision.details.get("structure") is None:
        return "No call", "rest"
    if decision.blocked:
        return "No trade: safety blocked this decision", "stop"
    if not decision.targets:
        return "No trade", "rest"
    return f"Trade {decision.details['contracts']} × {spoken(decision.details['structure'])}", "act"


def spoken(structure: str) -> str:
    """The name of a structure as people write it."""
    return structure.replace("_", " ").lower()


def _reasons(decided: Decided, output: Mapping[str, Any]) -> list[str]:
    """What the decision says of itself and everything against it, each once; how stage 1 was judged comes later."""
    told = set() if decided.outlook is None else set(decided.outlook.why[1:])
    return [each for each in dict.fromkeys([*decided.decision.why, *output["against"]]) if each not in told]


def _passed(decided: Decided) -> list[tuple[str, str]]:
    """Structures that were asked for before the one that stands, and why each cannot be traded."""
    found = decided.proposals or {}
    chosen = decided.decision.details.get("structure")
    return [(name, each.refused) for name, each in found.items() if each.refused and name != chosen]


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


def _position(decided: Decided, proposal: Proposal, output: Mapping[str, Any]) -> dict[str, Any]:
    """The legs, the numbers of S0.11 with n and interval, and the pictures of the structure that was chosen."""
    assert decided.now is not None
    units = max(int(output["contracts"]), 1)
    curves = profit_curves(decided.now, proposal, units)
    return {
        "units": units,
        "premium": proposal.premium,
        "premium_usd": proposal.premium * units * _multiplier(proposal),
        "margin_usd": proposal.margin_usd * units,
        "settles_on": proposal.settles_on,
        "legs": leg_rows(proposal, units),
        "figures": figures(decided, proposal, units),
        "curves": curves,
        "breakevens": proposal.breakevens or (curves.breakevens if curves else ()),
        "payoff": None if curves is None else charts.payoff_chart(curves),
        "expiries": sorted({leg.instrument.expiry for leg in proposal.structure_legs.legs}),  # type: ignore
        "smile": None if curves is None else _smile(decided, proposal, curves),
        "american": decided.data.american,
    }


def _multiplier(proposal: Proposal) -> float:
    assert proposal.structure_legs is not None
    return float(proposal.structure_legs.legs[0].instrument.multiplier)


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


def _smile(decided: Decided, proposal: Proposal, curves: ProfitCurves) -> str:
    assert decided.now is not None
    assert proposal.structure_legs is not None
    legs = pl.DataFrame(
        {
            "expiry": [leg.instrument.expiry for leg in proposal.structure_legs.legs],
            "strike": [leg.instrument.strike for leg in proposal.structure_legs.legs],
            "ratio": [leg.ratio for leg in proposal.structure_legs.legs],
            "iv": proposal.quotes["iv"],
        }
    )
    width = np.log(curves.high / curves.spot) * SMILE_DEVIATIONS
    window = (
        min(float(legs["strike"].min()), curves.spot * float(np.exp(-width))),  # type: ignore[arg-type]
        max(float(legs["strike"].max()), curves.spot * float(np.exp(width))),  # type: ignore[arg-type]
    )
    return charts.smile_chart(smile(decided.now, proposal), legs, decided.now.spot, window)


def _structures(decided: Decided) -> dict[str, Any] | None:
    """What each structure is expected to make, the best first, with the axis that their quantiles share."""
    if decided.outlook is None:
        return None
    names = quantile_columns()
    frame = decided.outlook.rows.with_row_index("place").sort("expected_utility", "place", descending=[True, False])
    rows = plain_rows(frame)
    known = [0.0, -1.0, *(row[name] for row in rows for name in names if row[name] is not None)]
    return {
        "rows": rows,
        "low": min(known) - 0.05,
        "high": max(known) + 0.05,
        "widest": max((abs(row["expected_utility"] or 0.0) for row in rows), default=0.0) or 1.0,
        "likeliest": decided.outlook.likeliest,
        "names": names,
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


def _similar(decided: Decided, proposal: Proposal) -> dict[str, Any]:
    """The map of past states, and the nearest days with what the chosen set made on them."""
    assert decided.now is not None
    frame = proposal.similar
    made = frame["return_on_risk"].to_numpy() if "return_on_risk" in frame.columns else None
    found = state_map(decided.now, made if made is None else np.asarray(made, dtype=np.float64))
    rows = plain_rows(frame)
    returns = [row["return_on_risk"] for row in rows if row.get("return_on_risk") is not None]
    return {
        "rows": rows,
        "first": NEAREST,
        "map": None if found is None else charts.map_chart(found),
        "past": 0 if found is None else len(found.past),
        "axes": None if found is None else list(zip(found.axes, found.share, strict=True)),
        "n": len(rows),
        "effective": finite(decided.now.similar.effective),
        "eligible": decided.now.similar.eligible,
        "flagged": proposal.flagged,
        "why": decided.now.similar.why,
        "judged": len(returns),
        "won": sum(each > 0 for each in returns),
        "widest": max((abs(each) for each in returns), default=0.0) or 1.0,
        "today": decided.features.values,
    }


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
