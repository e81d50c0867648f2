"""The report of the signals desk: of a training, and of a back-test of its signals, out of their records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from openbell.app.reports import signals as page
from openbell.app.signals_data import DESK

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.app.signals_training import SignalsTraining
    from openbell.research.signal_backtest import SignalBacktest
    from openbell.research.signal_search import SignalSearch


def write_report(
    home: Home,
    training: SignalsTraining,
    found: SignalBacktest | None = None,
    searched: SignalSearch | None = None,
) -> Path:
    """The report of `training` into its folder, with what following its signals was worth where that was asked."""
    payload = training.payload
    shown = found.model if found is not None else training.leader
    return page.write_report(
        training.folder,
        training.scores,
        when=f"trained on what was known before the open of {payload['session']}",
        label=payload["label"],
        base=payload["base"],
        shown=shown,
        found=found,
        searched=searched,
        half_life_seconds=payload["half_life_seconds"].get(shown),
        tries=home.trials.count(DESK),
        notes=payload["notes"],
        made_of={
            "training": payload["training"],
            "data": payload["data"],
            "settings": payload["settings"],
            **{f"model: {name}": value for name, value in payload["manifests"].items()},
            **{f"evidence: {name}": value for name, value in payload["evidence"].items()},
        },
    )
