"""`openbell gate report`: what the gate was worth, out of sample, beside the price."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openbell.app.cli.words import (
    HomeOption,
    JsonOption,
    SetOption,
    SettingsOption,
    SomeAsOfOption,
    open_home,
    print_json,
    print_table,
    session_date,
)

_KNOWS = ("model", "n", "days", "skill_nats", "skill_nats_low", "skill_nats_high", "p_nats", "log_loss", "auc", "ece",
          "accuracy", "base_accuracy", "proven")  # fmt: skip
_MAKES = ("model", "taken", "usd_per_day", "usd_over_all", "usd_over_all_low", "usd_over_all_high", "usd_over_price",
          "p_usd", "earns")  # fmt: skip


def report(
    as_of: SomeAsOfOption = None,
    live: Annotated[bool, typer.Option("--live", help="Judge the prediction log instead of a walk-forward.")] = False,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the HTML page there too.")] = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Whether the gate knows more than the price of a trade: every model beside the price, the base rate, taking all.

    Accuracy, AUC, Brier, log-loss and calibration by symbol and strategy, each with its interval; the skill over the
    price in nats and in dollars; what thresholds did; losers taken and winners left; reward over risk against profit;
    drift. Of the walk-forward of the newest training, or of the prediction log with its outcomes.
    """
    from openbell.app.files import write_whole
    from openbell.app.gate_report import gate_report
    from openbell.app.reports.gate import verdict

    session = None if as_of is None else session_date(as_of)
    found = gate_report(open_home(home, sets, settings), session=session, live=live)
    if out is not None:
        write_whole(out, found.page)
    if as_json:
        print_json({**found.record, "out": None if out is None else str(out)})
        return
    print_table(found.scores.models.select(_KNOWS), f"{found.source}, {found.when}")
    print_table(found.scores.models.select(_MAKES), digits=2)
    for line in (*verdict(found.scores, found.scores.shown), *found.scores.why, *found.notes):
        print(line)
    for path in (found.path, out):
        if path is not None:
            print(f"Report: {path}")
