"""`python -m benchmarks.signal_stream [--moments 120] [--members A,B]`: from a bar to a stored signal, and how fast.

Real minutes, every feature of the signals desk on every frame, real models fitted on the sessions before with the
request's sizes, the desk, all safety checks and the real store on disk: the last minutes of a session are streamed as
fast as they go, for one symbol and for 500 at once. What the models say of such a short past is worth nothing; how
long they take to say it is what is measured. Others may be at work on the machine: its load stands beside.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

for _name in ("POLARS_MAX_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402
import polars as pl  # noqa: E402

from benchmarks.measuring import machine, table  # noqa: E402
from benchmarks.signal_features import BEFORE, MINUTES, SPY, STOCKS, bars_of, desk_features  # noqa: E402
from openbell.app.stream.bars import BARS  # noqa: E402
from openbell.app.stream.deciding import Deciding  # noqa: E402
from openbell.app.stream.keeping import Keeping  # noqa: E402
from openbell.app.stream.metrics import StreamMetrics  # noqa: E402
from openbell.app.stream.outcomes import Outcomes  # noqa: E402
from openbell.app.stream.running import Limits, Parts, Stream  # noqa: E402
from openbell.app.stream.sources import Replay  # noqa: E402
from openbell.app.stream.speaking import Speaker  # noqa: E402
from openbell.core.declare import Catalogue, discover  # noqa: E402
from openbell.core.time import Sessions  # noqa: E402
from openbell.market.calendars import sessions  # noqa: E402
from openbell.quant.barriers import BARRIER  # noqa: E402
from openbell.research.bar_features import BarFeatures  # noqa: E402
from openbell.research.signal_models import Candidate, SignalModel, candidate, fit_signal_model  # noqa: E402
from openbell.research.signal_reasons import reasons  # noqa: E402
from openbell.research.signal_rows import signal_rows  # noqa: E402
from openbell.store.signals import Signals  # noqa: E402

LABEL = "direction_5"
#: Decisions that the models are fitted on: enough for trees of full depth.
TRAIN_ROWS = 4_000


class _Everything:
    """A ledger in which everything is counted: nothing here is chosen."""

    def __contains__(self, fingerprint: str, /) -> bool:
        return True


def fitted(
    engine: BarFeatures, bars: pl.DataFrame, catalogue: Catalogue, calendar: Sessions, wanted: str
) -> SignalModel:
    """The vote of `wanted`, or the one classifier, fitted on the features of `bars`."""
    label = catalogue.labels[LABEL]
    rows, _ = signal_rows(engine.history(bars), bars, label, within_session=True, sessions=calendar)
    made: Candidate = candidate(wanted, catalogue.models)
    return fit_signal_model(
        rows.tail(3 * TRAIN_ROWS), engine.columns, made, ledger=_Everything(), max_train_rows=TRAIN_ROWS,
        importance_rows=0,
    )  # fmt: skip


def streamed(
    folder: Path, engine: BarFeatures, model: SignalModel, bars: pl.DataFrame, moments: int, explain: bool
) -> dict[str, Any]:
    """Stream the last `moments` of `bars` after warming up on the others."""
    catalogue, calendar = discover(), engine.sessions
    rows = bars.with_columns(pl.lit(None, kind).alias(name) for name, kind in BARS.items() if name not in bars.columns)
    rows = rows.select(list(BARS)).cast(dict(BARS))
    begins = rows["at"].unique().sort()[-moments]
    live = SimpleNamespace(model=model, version="benchmark", proven=True, barrier=BARRIER, horizon_bars=5, made_of={})
    speaker = Speaker(live, 10.0, 60.0, reasons if explain else None)
    checks, desk = catalogue.checks_of("signals"), catalogue.desks["signals"]
    wanted = {**desk.settings, "min_confidence": 0.4, "require_single": False}  # most moments then end in the store
    metrics, signals = StreamMetrics(), Signals.open(f"sqlite:///{folder}/signals.db")
    stream = Stream(
        Parts(
            source=Replay(rows.filter(pl.col("at") >= begins), "1m", 0.0, seconds=time.perf_counter, pause=time.sleep),
            features=(engine.live(),),
            speakers=(speaker,),
            decides=lambda frame: np.ones(frame.height, dtype=bool),
            deciding=Deciding(desk, wanted, checks, {}, 1e6),
            signals=signals,
            standing=lambda at: [each.signal for some in signals.active_many(None, at).values() for each in some],
            known=lambda at: (),
            outcomes=Outcomes(catalogue.labels[LABEL], calendar, within_session=True),
            keeping=Keeping(folder / "kept"),
            metrics=metrics,
            sessions=calendar,
            limits=Limits(3, 0.1, False),
            symbols=frozenset(rows["symbol"].unique()),
            clock=None,
            seconds=time.perf_counter,
            emit=lambda told: None,
            tell=lambda sentence: None,
            snapshot_moments=1_000_000,
        )
    )
    (folder / "kept").mkdir()
    stream.warm(rows.filter(pl.col("at") < begins))
    speaker.warm(pl.DataFrame([{"symbol": "W", "as_of": begins}]).with_columns(
        pl.lit(None, pl.Float64).alias(name) for name in engine.columns
    ))  # fmt: skip
    began = time.perf_counter()
    stream.run()
    minutes = (time.perf_counter() - began) / 60.0
    stored = sum(signals.counts().values())
    speaker.close(), signals.close()
    return {
        "symbols": rows["symbol"].n_unique(),
        "latency": metrics.latency_ms,
        "signals": metrics.total("signals"),
        "stored": stored,
        "per_minute": metrics.total("signals") / minutes,
        "stored_per_minute": stored / minutes,
    }


def dated_bars(file: Path, calendar: Sessions, before: int) -> pl.DataFrame:
    """`bars_of` with the session of each bar."""
    local = pl.col("at").dt.convert_time_zone("America/New_York")
    return bars_of(file, calendar, before).with_columns(local.dt.date().alias("session"))


def rows_of(found: dict[str, Any]) -> list[list[str]]:
    """The lines of the table on one stream."""
    head = f"{found['symbols']} symbols: "
    rows = [
        [head + stage.replace("_", " "), *(f"{each[place]:.1f}" for place in ("p50", "p95", "p99"))]
        for stage, each in found["latency"].items()
    ]
    for what, name in (("signals a minute", "per_minute"), ("stored signals a minute", "stored_per_minute")):
        rows.append([head + what, f"{found[name]:,.0f}", "", ""])
    return rows


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print."""
    reader = argparse.ArgumentParser(prog="benchmarks.signal_stream")
    reader.add_argument("--data", type=Path, default=MINUTES, help="folder of the files of minutes")
    reader.add_argument("--moments", type=int, default=120, help="minutes that are streamed")
    reader.add_argument("--members", default="voting", help="voting, or one classifier such as xgboost_classifier")
    reader.add_argument("--no-reasons", action="store_true", help="give signals without their reasons")
    asked = reader.parse_args(words)
    catalogue, calendar = discover(), sessions("XNYS", 2022, 2024)
    engine = BarFeatures(desk_features(), "1m", calendar)
    model = fitted(engine, dated_bars(asked.data / SPY, calendar, BEFORE[SPY]), catalogue, calendar, asked.members)
    lines: list[list[str]] = []
    for file in (SPY, STOCKS):
        bars = dated_bars(asked.data / file, calendar, BEFORE[file])
        with tempfile.TemporaryDirectory() as folder:
            lines += rows_of(streamed(Path(folder), engine, model, bars, asked.moments, not asked.no_reasons))
    members, load = ", ".join(model.members), os.getloadavg()[0]
    title = f"{len(engine.columns)} columns, {members}, {asked.moments} moments, load of the machine {load:.1f}"
    print(machine(), table(title, ["milliseconds of a moment", "p50", "p95", "p99"], lines), sep="\n")


if __name__ == "__main__":
    main()
