"""What the options desk has been worth, as rows for a page: out of sample, after costs, beside its baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app.outputs import finite, plain_rows
from openbell.app.reports import options_charts as charts
from openbell.app.reports.figures import OUT_OF_SAMPLE, refuse_in_sample
from openbell.core.errors import Refused

if TYPE_CHECKING:
    from openbell.app.options_training import OptionTraining


def board(training: OptionTraining, *, split: str = OUT_OF_SAMPLE) -> dict[str, Any]:
    """The scoreboard of a training, for ``options_board.html.jinja``.

    Raises
    ------
    Refused
        On anything that was not measured out of sample, or does not say how often it was tried.
    """
    payload = training.payload
    refuse_in_sample("the scoreboard of the options desk", split)
    if int(payload["tries"]) < 1:
        raise Refused(f"The training does not say how many candidates were tried (was {payload['tries']}).")
    strategies, paths = training.frame("strategies"), training.frame("paths")
    names = {kind: _named(strategies, kind) for kind in ("candidate", "baseline")}
    return {
        "training": payload,
        "version": training.version,
        "champion": training.champion,
        "leader": training.leader,
        "tries": int(payload["tries"]),
        "days": int(payload["days"]),
        "modelled": bool(payload["modelled"]),
        "strategies": plain_rows(strategies.sort("mean_utility", "strategy", descending=[True, False])),
        "utilities": _span(strategies, "mean_utility", "utility_low", "utility_high"),
        "hindsight": float(paths["hindsight"].mean()) if paths.height else None,  # type: ignore[arg-type]
        "classification": plain_rows(training.frame("classification")),
        "structures": _structure_rows(training.frame("structures")),
        "chart": charts.worth_chart(paths, names["candidate"], names["baseline"]) if paths.height > 1 else None,
        "legend": charts.worth_legend(names["candidate"], names["baseline"]),
    }


def _named(strategies: pl.DataFrame, kind: str) -> list[str]:
    return strategies.filter(pl.col("kind") == kind)["strategy"].to_list()


def _span(frame: pl.DataFrame, *columns: str) -> tuple[float, float]:
    """The common axis of the intervals, 0 always on it."""
    values = [finite(each) for name in columns for each in frame[name].to_list()]
    known = [0.0, *(each for each in values if each is not None)]
    room = 0.06 * ((max(known) - min(known)) or 1.0)
    return min(known) - room, max(known) + room


def _structure_rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Structures with the share of days on which each was the best in hindsight, and was chosen."""
    rows = plain_rows(frame)
    best, chosen = (sum(row[name] for row in rows) or 1 for name in ("best_in_hindsight", "chosen"))
    return [
        {**row, "best_share": row["best_in_hindsight"] / best, "chosen_share": row["chosen"] / chosen} for row in rows
    ]


def training_report(training: OptionTraining) -> str:
    """The scoreboard alone on one self-contained page, for a training or a tournament.

    The same training gives the same bytes.
    """
    from openbell.app.reports.page import render

    return render("options_training.html.jinja", {"board": board(training)})
