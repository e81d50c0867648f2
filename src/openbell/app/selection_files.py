"""What a tournament leaves behind: ``reports/model_selection/DATE/`` and the list of its candidates."""

from __future__ import annotations

import contextlib
import datetime as dt
import glob
import io
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from openbell.app.files import alive, storage_failure, write_whole
from openbell.app.outputs import json_text
from openbell.app.reports.selection_board import REPLICATIONS, Board, board
from openbell.app.reports.selection_records import (
    candidates_record,
    comparison_matrix,
    detailed_results,
    importances,
    selection_record,
)
from openbell.core.errors import BadInput
from openbell.research.contest import BASELINE, BENCHMARK, Contest

#: Digits of a fraction in a file: more than any of them is known to, few enough to read.
DIGITS = 10
LATEST = "latest"
Files = dict[str, bytes | str]


def selection_files(contest: Contest, *, replications: int = REPLICATIONS) -> Files:
    """Every file of a tournament by its name; the same tournament gives the same bytes.

    `replications` are of the bootstrap behind the intervals that the tournament does not bring itself.

    Raises
    ------
    Refused
        On a tournament that may not be shown; see `reports.selection_board.board`.
    """
    from openbell.app.reports.model_selection import write_model_selection
    from openbell.app.reports.selection_markdown import write_selection_markdown
    from openbell.app.reports.selection_plots import champion_vs_benchmark, equity_curves

    of = board(contest, replications=replications)
    return {
        "model_selection_report.html": write_model_selection(of),
        "model_selection_report.md": write_selection_markdown(of),
        "tear_sheet.html": leader_sheet(of, replications=replications),
        "equity_curves.png": equity_curves(of),
        "champion_vs_benchmark.png": champion_vs_benchmark(of),
        **tables_of(of),
        "backtest_detailed_results.json": json_text(detailed_results(of)),
        "selection.json": json_text(selection_record(of)),
        "active_returns.parquet": _parquet(of.contest.active),
    }


def tables_of(of: Board) -> Files:
    """The tables among them: nulls are empty cells."""
    contest = of.contest
    pairs = contest.matrix.select("entrant", "model", "allocator")
    return {
        "training_comparison.csv": _csv(contest.training),
        "backtest_comparison_matrix.csv": _csv(comparison_matrix(of)),
        "backtest_comparison.csv": _csv(of.ranking),
        "regime_performance_breakdown.csv": _csv(
            contest.regimes.join(pairs, on="entrant", how="left", maintain_order="left")
        ),
        "gates.csv": _csv(contest.gates),
        "cost_sensitivity.csv": _csv(contest.costs),
        "importance.csv": _csv(importances(contest)),
        "tuning.csv": _csv(contest.tuning),
        "coverage.csv": _csv(contest.calibration),
        "failures.csv": _csv(contest.failures),
        **({"intervals.csv": _csv(contest.intervals)} if contest.intervals.width else {}),
    }


def leader_sheet(of: Board, *, replications: int = REPLICATIONS) -> str:
    """``tear_sheet.html``: the champion, or who leads without being one; equal weight where nobody was back-tested."""
    from openbell.app.reports.tear_sheet import tear_sheet

    contest, leader = of.contest, of.leader
    equity = contest.equity
    title, notes = f"Champion: {leader}", []
    if of.stays:
        title, notes = f"{leader} (stays in office)", ["Nobody beat the champion in office; nothing changes."]
    elif contest.champion is None:
        title = f"{leader or 'equal weight'} (no champion)"
        notes = ["No entrant passed every gate. This curve leads by weighted score; nothing trades by it."]
    return tear_sheet(
        title,
        equity["session"].to_list(),
        equity[leader or BASELINE].to_numpy(),
        equity[BENCHMARK].to_numpy(),
        benchmark_name=of.benchmark_name,
        others={"equal weight": equity[BASELINE].to_numpy()} if leader else None,
        tries=of.tries,
        replications=replications,
        notes=[*notes, *contest.notes],
    )


def _csv(frame: pl.DataFrame) -> str:
    """Nulls are empty cells; no cell says NaN."""
    floats = [name for name, kind in frame.schema.items() if kind.is_float()]
    return frame.with_columns(pl.col(floats).fill_nan(None)).write_csv(float_precision=DIGITS)


def _parquet(frame: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    frame.write_parquet(out, compression="zstd", statistics=True)
    return out.getvalue()


def write_selection(folder: Path, contest: Contest, *, replications: int = REPLICATIONS) -> list[Path]:
    """Write every file into `folder`, which appears whole or not at all; a folder that is there is replaced whole."""
    files = selection_files(contest, replications=replications)
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.draft")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    try:
        _clear(folder)
        for name, content in files.items():
            write_whole(draft / name, content)
        if folder.exists():
            folder.rename(old)
        draft.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as failure:
        _put_back(folder, old)
        raise storage_failure(folder, failure) from failure
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return [folder / name for name in files]


def _put_back(folder: Path, old: Path) -> None:
    """After a rename that failed half-way: the folder that was there before."""
    if old.exists() and not folder.exists():
        with contextlib.suppress(OSError):
            old.rename(folder)


def _clear(folder: Path) -> None:
    """What killed runs left beside `folder`: an old folder without a new one is put back, a draft is dropped."""
    for left in sorted(folder.parent.glob(f".{glob.escape(folder.name)}.*")):
        writer, _, kind = left.name.removeprefix(f".{folder.name}.").partition(".")
        if kind not in ("old", "draft") or (writer.isdigit() and alive(int(writer))):
            continue
        if kind == "old":
            _put_back(folder, left)
        shutil.rmtree(left, ignore_errors=True)


def link_latest(folder: Path) -> Path:
    """Make ``latest`` beside `folder` lead to it, replaced at once; a file with its path where links are impossible."""
    if not folder.is_dir():
        raise BadInput(f"There is no folder {folder} that `{LATEST}` could lead to; write it first.")
    link = folder.parent / LATEST
    if link.is_dir() and not link.is_symlink():
        raise BadInput(f"{link} is a folder of its own and not a link; move it away.")
    beside = link.with_name(f".{LATEST}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        beside.unlink()
    try:
        beside.symlink_to(folder.name, target_is_directory=True)
    except (OSError, RuntimeError):  # refused by the disk, or unknown to the system
        write_whole(link, f"{folder.name}\n")
        return link
    try:
        beside.replace(link)
    except OSError as failure:
        beside.unlink(missing_ok=True)
        raise storage_failure(link, failure) from failure
    return link


def write_candidates(folder: Path, contest: Contest, folders: Mapping[str, str], saved: Mapping[str, str]) -> Path:
    """Write ``candidates.json`` into `folder` (``models/candidates/PLAN``), whole or not at all."""
    path = folder / "candidates.json"
    write_whole(path, json_text(candidates_record(contest, folders, saved)))
    return path


def selection_folder(reports: Path, session: dt.date) -> Path:
    """Where the files of the tournament of `session` go."""
    return reports / "model_selection" / session.isoformat()
