"""``report.html`` of the options desk: the decision and why, what it rests on, and what such decisions were worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from openbell.app.options_output import decision_json
from openbell.app.outputs import finite, plain_rows
from openbell.app.reports import options_charts as charts
from openbell.app.reports.options_board import board, training_report
from openbell.app.reports.options_curves import ProfitCurves, profit_curves, smile, state_map
from openbell.app.reports.options_tables import figures, leg_rows, parameter_rows, quality, safety_rows
from openbell.core.outlook import quantile_columns
from openbell.core.proposal import Proposal

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
        "chain_modelled": output["modelled"] if decided.now is None else decided.now.modelled,
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
