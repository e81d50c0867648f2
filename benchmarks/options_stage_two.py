"""Stage 2 of the options desk over many past days: how often it ends in contracts or an explicit no, and how fast.

Run ``python -m benchmarks options_stage_two HOME --underlying SPX --as-of 2021-12-31 --days 200``.
"""

from __future__ import annotations

import argparse
import datetime as dt
import time
from collections import Counter
from pathlib import Path


def main(words: list[str]) -> None:
    """Every structure on evenly spaced past days of a home with bars of the underlying and its volatility index."""
    import numpy as np

    from openbell.app.home import Home
    from openbell.app.options_market import market_data
    from openbell.app.options_simulate import of_data
    from openbell.core.errors import OpenbellError
    from openbell.quant.structures import STRUCTURES

    parser = argparse.ArgumentParser(prog="python -m benchmarks options_stage_two", description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("--underlying", default="SPX")
    parser.add_argument("--as-of", type=dt.date.fromisoformat, required=True)
    parser.add_argument("--days", type=int, default=200)
    parser.add_argument("--set", action="append", default=[])
    asked = parser.parse_args(words)
    home = Home.open(asked.home, sets=tuple(asked.set))
    data = market_data(home, home.view(asked.as_of), asked.underlying)
    usable = np.flatnonzero(data.usable[:-1])
    rows = usable[np.linspace(len(usable) // 4, len(usable) - 1, asked.days).astype(int)]
    ends: Counter[str] = Counter()
    milliseconds: dict[str, list[float]] = {name: [] for name in STRUCTURES}
    for done, row in enumerate(rows, start=1):
        before, session = (data.sessions[at].item() for at in (row, row + 1))
        try:
            now = of_data(data, before, session)
        except OpenbellError as failure:
            ends[f"no stage 2 that day: {type(failure).__name__}"] += len(STRUCTURES)
            continue
        for name in STRUCTURES:
            begun = time.perf_counter()
            found = now.proposal(name)
            milliseconds[name].append(1000.0 * (time.perf_counter() - begun))
            ends["contracts of the chain" if found.executable else _kind(found.refused)] += 1
        if done % 20 == 0:
            print(f"{done} of {len(rows)} days", flush=True)
    total = sum(ends.values())
    for end, count in ends.most_common():
        print(f"{count / total:7.2%}  {end}")
    for name, taken in milliseconds.items():
        print(f"{name}: median {np.median(taken):.0f} ms, p95 {np.percentile(taken, 95):.0f} ms, n {len(taken)}")


def _kind(why: str | None) -> str:
    return "no trade: " + str(why).partition("Of ")[2].partition(": ")[2][:90] if why else "no reason"
