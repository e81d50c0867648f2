"""`python -m benchmarks [features|training|daily|backtests|options|bar_programs|edge|gate]`: measure, print, write."""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path

from benchmarks import market
from benchmarks.measuring import ROOT, Measured, alone, machine, middle, table

PAGE = ROOT / "docs" / "benchmarks.md"
RUNS = 3
COLUMNS = ["wall", "CPU", "peak memory"]


def _figures(each: Measured) -> list[str]:
    return [f"{each.wall_s:.1f} s", f"{each.cpu_s:.1f} s", f"{each.peak_gb:.2f} GB"]


def features(home: Path, session: str) -> str:
    """All features of the bars, and twenty of them beside pandas and TA-Lib."""
    every = middle([alone("benchmarks.features", "every", str(home), session) for _ in range(RUNS)])
    counts = every.counts
    row = [
        f"{counts['features']} features, {counts['symbols']} names, {counts['rows']:,} rows",
        *_figures(every),
        f"{counts['rows_per_s']:,}",
    ]
    first = table("Every feature of the bars, ten years", ["", *COLUMNS, "rows per second"], [row])
    beside = alone("benchmarks.features", "beside", str(home), session)
    wall, cpu = beside.counts["medians"]["openbell"]
    rows = [
        [name, f"{w:.2f} s", f"{c:.2f} s", f"{w / wall:.2f}", f"{c / cpu:.2f}"]
        for name, (w, c) in beside.counts["medians"].items()
    ]
    told = (
        f"Twenty indicators over {beside.counts['symbols']} names and {beside.counts['rows']:,} rows in one process, "
        "values checked equal first, medians of interleaved runs. Openbell's own are the expressions that are proven "
        "causal, with gaps and warm-up handled; pandas and TA-Lib go symbol by symbol.\n"
    )
    head = ["", "wall", "CPU", "wall / openbell", "CPU / openbell"]
    return "\n".join([first, table("The same indicators by pandas and by TA-Lib", head, rows), told])


def training(home: Path, session: str) -> str:
    """All candidates over ten years."""
    done = alone("benchmarks.running", "train", str(home), session)
    row = [f"{done.counts['tries']} candidates, 5 folds and final fits", *_figures(done)]
    return table("Training all candidates, ten years", ["", *COLUMNS], [row])


def daily(home: Path, session: str) -> str:
    """The daily run, with the training that is there or without one."""
    runs = [alone("benchmarks.running", "run", str(home), session) for _ in range(RUNS)]
    rows = [["`run stocks --execute`, first run of the day", *_figures(runs[0])]]
    rows.append(["the same decision again (no second order)", *_figures(middle(runs[1:]))])
    if (home / "models").is_dir():
        scored = middle([alone("benchmarks.running", "score", str(home), session) for _ in range(RUNS)])
        rows.append(["scoring alone: start, features of one day, a saved model", *_figures(scored)])
    return table("The daily run for 500 names, interpreter start to written report", ["", *COLUMNS], rows)


def backtests(home: Path, session: str) -> str:
    """The accounting kernel and its peers; needs no market."""
    from benchmarks import backtests as engines

    found = [alone("benchmarks.backtests", name, python=engines.interpreter(name)) for name in engines.ENGINES]
    spent = ["first call", "its CPU", "wall", "CPU"]
    head = ["", *spent, "cells per CPU second", "openbell's / its", "end of the curve", "memory"]
    told = (
        f"Generated prices, random long-only weights, a rebalance every {engines.EVERY} sessions at the close, "
        f"{engines.COST_BP:g} bp of notional. A process each; the first call imports and compiles with nothing cached, "
        f"then the median of {engines.RUNS} more. A cell is one name on one session under one weighting. Openbell's "
        "one call marks the whole grid; vectorbt and bt get one weighting (bt over one year), since another would cost "
        "them the same again. They pay each order's fee from what the orders before it left, so their ends differ "
        "slightly. backtesting.py knows one instrument: it gets one, brought to half of the account each time.\n"
    )
    rows = [engines.figures(found[0], each) for each in found]
    return "\n".join([table("Back-tests beside vectorbt, bt and backtesting.py", head, rows), told])


def options(home: Path, session: str) -> str:
    """Option mathematics and its peers; needs no market."""
    from benchmarks import option_pricing as pricing
    from benchmarks.backtests import interpreter

    found = [
        alone("benchmarks.option_pricing", name, str(cores), python=interpreter(name))
        for name, (_, _, able) in pricing.ENGINES.items()
        for cores in able
    ]
    ours = {each.counts["cores"]: each for each in found if each.name == "openbell"}
    rate = ["its", "openbell's / its"]
    head = [
        "",
        "cores",
        *[f"{task}: {each}" for task in ("Greeks", "IV", "American") for each in rate],
        "missed",
        "error",
    ]
    premiums = ", ".join(f"{ours[cores].counts['american implied']:,.0f} on {cores}" for cores in ours)
    told = (
        f"Options per second, of CPU on one core and of the clock on two, medians of {pricing.RUNS} calls after the "
        f"first; {pricing.MANY:,} contracts, loops in Python {pricing.FEW:,}. Greeks: value, delta, gamma, theta, "
        "vega, rho, and by Openbell vanna, vomma and charm. IV: `missed` is the share of volatilities off by more than "
        f"1e-8 or not found, among those whose vega is above {pricing.TELLING_VEGA:g} of the spot; `error` the largest "
        "of those found. American: a value with a continuous yield, by QuantLib its fixed point at the fast setting. "
        f"American IV by Openbell, cores: {premiums}.\n"
    )
    rows = [pricing.figures(ours[each.counts["cores"]], each) for each in found]
    return "\n".join([table("Options beside fast-vollib, py_vollib, QuantLib and NumPy", head, rows), told])


def bar_programs(home: Path, session: str) -> str:
    """Features of bars by their program, and by Polars; needs no market."""
    from benchmarks import bar_programs as programs

    done = alone("benchmarks.bar_programs")
    head = ["", "newest bars per second", "one symbol's", "by Polars", "rows per second", "by Polars", "to read"]
    rows = [programs.figures(each) for each in done.counts["rows"]]
    told = (
        f"Per second of CPU, medians of {programs.RUNS} after the first call, which compiles the steps once "
        f"({done.counts['rows'][0]['first_s']:.0f} s with nothing cached). {programs.SYMBOLS} symbols, a bar of each "
        "at a time. By Polars the newest bar of one symbol is the same expressions over the rows they look back on.\n"
    )
    return "\n".join([table("Features of bars, one bar at a time and a whole history", head, rows), told])


PARTS = {
    "features": features,
    "training": training,
    "daily": daily,
    "backtests": backtests,
    "options": options,
    "bar_programs": bar_programs,
}
#: Parts that make their own prices.
WITHOUT_MARKET = {"backtests", "options", "bar_programs"}


#: Benchmarks that a full run leaves out, with their module and whether they take words of their own.
ALONE = {
    "options_stage_two": ("options_stage_two", True),
    "options_study": ("options_study", True),
    "gate_load": ("gate_load", True),
    "gate": ("gate_study", True),
    "edge": ("edge_study", True),
    "session_noise": ("session_noise", False),
    "almanac": ("almanac", True),
    "almanac_filters": ("almanac_filters", True),
    "calibrate_surface": ("calibrate_surface", False),
    "lab_paint": ("lab_paint", True),
}


def main(words: list[str]) -> None:
    """Measure what is named, or all but the edge study; a full run writes the page."""
    if words[:1] and words[0] in ALONE:
        module, takes_words = ALONE[words[0]]
        alone_main = importlib.import_module(f"benchmarks.{module}").main
        return alone_main(words[1:]) if takes_words else alone_main()
    strange = [word for word in words if word not in PARTS]
    if strange:
        valid = ", ".join((*PARTS, *ALONE))
        sys.exit(f"There is no benchmark `{strange[0]}`. Valid are: {valid}.")
    text = ["# Benchmarks", "", f"Made by `make bench` on {machine()}. The data: {market.described()}.", ""]
    with tempfile.TemporaryDirectory(prefix="openbell-bench-") as folder:
        wanted = words or list(PARTS)
        session = "" if set(wanted) <= WITHOUT_MARKET else market.made(Path(folder)).isoformat()
        for name in wanted:
            part = PARTS[name](Path(folder), session)
            text.append(part)
            print(part, flush=True)
    if not words:
        PAGE.write_text("\n".join(text).rstrip() + "\n", encoding="utf-8")
        print(f"Written to {PAGE.relative_to(ROOT)}.")
    return None


if __name__ == "__main__":
    main(sys.argv[1:])
