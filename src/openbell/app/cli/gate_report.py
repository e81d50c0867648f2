"""`openbell gate report`: what the gate was worth, out of sample, beside the price."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openbell.app.cli.words import HomeOption, JsonOption, SetOption, SettingsOption, open_home, print_json, print_table


def report(
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="DATE", help="Of the walk made as of DATE. Default: the newest.")
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Judge the prediction log instead of a walk-forward.")] = False,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the HTML page there.")] = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Whether the gate knows more than the price of a trade: every model beside the price, the base rate, taking all.

    Accuracy, AUC, Brier, log-loss and calibration by symbol and strategy, each with its interval; the skill over the
    price in nats and in dollars; what thresholds did; losers taken and winners left; reward over risk against profit;
    drift. Of the walk-forward that `openbell train gate` kept, or of the prediction log with its outcomes.
    """
    from openbell.app.files import write_whole
    from openbell.app.gate_report import PAGE, gate_report
    from openbell.app.reports.gate import verdict

    found = gate_report(open_home(home, sets, settings), as_of=as_of, live=live)
    page = out or (found.folder / PAGE if found.folder is not None else None)
    if out is not None:
        write_whole(out, found.page)
    if as_json:
        print_json({**found.record, "page": None if page is None else str(page)})
        return
    shown = ("model", "n", "days", "skill_nats", "skill_nats_low", "skill_nats_high", "p_nats", "log_loss", "auc",
             "ece", "accuracy", "base_accuracy", "taken", "usd_per_day", "usd_over_all", "proven")  # fmt: skip
    print_table(found.scores.models.select(shown), f"{found.record['source']}, {found.record['when']}")
    for line in (*verdict(found.scores, found.scores.shown), *found.scores.why, *found.record["notes"]):
        print(line)
    if page is not None:
        print(f"Report: {page}")
