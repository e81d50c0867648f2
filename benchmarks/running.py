"""The daily run and the training, end to end, each in a process of its own as the command line would start it."""

from __future__ import annotations

import sys
import time

_STARTED = time.perf_counter()

from pathlib import Path  # noqa: E402

from benchmarks.measuring import Measured, peak_gb, told  # noqa: E402


def _ended(name: str, counts: dict[str, object]) -> Measured:
    """Everything since the interpreter began this file, imports included."""
    return Measured(name, time.perf_counter() - _STARTED, time.process_time(), peak_gb(), counts)


def trained(home: Path, session: str) -> Measured:
    """`openbell train stocks`: panel, walk-forward, champion, final fits, back-test."""
    import datetime as dt

    from openbell.app.home import Home
    from openbell.app.training import train_stocks

    done = train_stocks(Home.open(home), dt.date.fromisoformat(session))
    return _ended("training", {"champion": str(done.champion), "tries": done.payload["tries"]})


def decided(home: Path, session: str) -> Measured:
    """`openbell run stocks --execute`: from the interpreter's start to the written report."""
    import datetime as dt

    from openbell.app.daily import run_stocks
    from openbell.app.home import Home

    done = run_stocks(Home.open(home), dt.date.fromisoformat(session), execute=True, out=home / "live")
    report = done.as_json()
    return _ended("daily run", {"trades": report["trades"], "view": report["view"]})


def scored(home: Path, session: str) -> Measured:
    """What a daily run with a view does besides: compute every feature before one open and ask a saved model."""
    import datetime as dt

    from openbell.app.home import Home
    from openbell.app.training import features_of, latest_training
    from openbell.research.fitting import load_fitted
    from openbell.research.forecasting import forecast

    opened, day = Home.open(home), dt.date.fromisoformat(session)
    view = opened.view(day)
    training = latest_training(opened, view.as_of)
    assert training is not None
    model = load_fitted(training.folder / "lightgbm")
    said = forecast(view, model, features_of(opened, view), day, universe="bench", version="benchmark")
    return _ended("scoring", {"names": said.scores.height})


if __name__ == "__main__":
    told({"train": trained, "run": decided, "score": scored}[sys.argv[1]](Path(sys.argv[2]), sys.argv[3]))
