"""What a tournament leaves behind: ``reports/model_selection/DATE/`` and the list of its candidates."""

from __future__ import annotations

import contextlib
import datetime as dt
import glob
import io
import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from openbell.app.files import alive, storage_failure, write_whole
from openbell.app.outputs import json_text
from openbell.app.reports.figures import OUT_OF_SAMPLE
from openbell.app.reports.selection_board import REPLICATIONS, Board, board
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
        **_tables(of),
        "backtest_detailed_results.json": json_text(detailed_results(of)),
        "selection.json": json_text(selection_record(of)),
        "active_returns.parquet": _parquet(of.contest.active),
    }


def _tables(of: Board) -> Files:
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
        "importance.csv": _csv(_importances(contest)),
        "tuning.csv": _csv(contest.tuning),
        "coverage.csv": _csv(contest.calibration),
        "failures.csv": _csv(contest.failures),
    }


def comparison_matrix(of: Board) -> pl.DataFrame:
    """Sharpe ratios: models as rows, allocators as columns, no holes.

    A model that lacks a back-test with one of the allocators is not in it; it is in ``backtest_comparison.csv``,
    ``failures.csv`` and, by name, in the report.
    """
    matrix = of.contest.matrix
    allocators = matrix["allocator"].unique(maintain_order=True).to_list()
    if not allocators:
        return pl.DataFrame(schema={"model": pl.String})
    wide = matrix.pivot("allocator", index="model", values="sharpe", sort_columns=False)
    return wide.select("model", *allocators).drop_nulls()


def _importances(contest: Contest) -> pl.DataFrame:
    """Permutation per fold and SHAP in one long table; `kind` says which, and SHAP has neither fold nor spread."""
    permuted = contest.importance.select(
        "model",
        "feature",
        pl.lit("permutation").alias("kind"),
        "fold",
        pl.col("drop").cast(pl.Float64).alias("value"),
        pl.col("spread").cast(pl.Float64),
    )
    shap = contest.shap.select(
        "model", "feature", pl.lit("shap").alias("kind"), pl.col("mean_abs").cast(pl.Float64).alias("value")
    )
    return pl.concat([permuted, shap], how="diagonal")


def detailed_results(of: Board) -> list[dict[str, Any]]:
    """Every run with all its measures, its n, tries and span; the keys of S2.30 first among them (check 5)."""
    contest = of.contest
    regimes: dict[str, dict[str, Any]] = {}
    for row in contest.regimes.iter_rows(named=True):
        said = {name: row[name] for name in ("regime", "sessions", "mean_return", "volatility", "sharpe")}
        regimes.setdefault(row["entrant"], {})[row["regime_name"]] = said
    gates: dict[str, dict[str, Any]] = {}
    for row in contest.gates.iter_rows(named=True):
        said = {name: row[name] for name in ("passed", "value", "limit", "why")}
        gates.setdefault(row["entrant"], {})[row["gate"]] = said
    costs: dict[str, list[dict[str, Any]]] = {}
    for row in contest.costs.iter_rows(named=True):
        said = {name: row[name] for name in ("cost_bp", "sharpe", "cagr", "active_return")}
        costs.setdefault(row["entrant"], []).append(said)
    return [
        {
            **{name: value for name, value in row.items() if name != "allocator"},
            "optimizer": row["allocator"],
            "regime_performance": regimes.get(row["entrant"], {}),
            "gates": gates.get(row["entrant"], {}),
            "cost_sensitivity": costs.get(row["entrant"], []),
            **_interval(of, row["entrant"]),
            "split": OUT_OF_SAMPLE,
            "tries": of.tries,
            "first": contest.first,
            "last": contest.last,
        }
        for row in of.ranking.iter_rows(named=True)
    ]


def _interval(of: Board, entrant: str) -> dict[str, float | None]:
    added = of.added[entrant]
    return {
        f"active_return_{side}": getattr(added, bound, None) for side, bound in (("lower", "low"), ("upper", "high"))
    }


def selection_record(of: Board) -> dict[str, Any]:
    """``selection.json``: the verdict and what it was made of."""
    from openbell.app.reports.model_selection import verdict

    contest = of.contest
    return {
        "desk": contest.desk,
        "as_of": contest.as_of.isoformat(),
        "plan": contest.plan,
        "data": contest.recipe,
        "label": contest.label,
        "universe": contest.universe,
        "benchmark": contest.benchmark,
        "first": contest.first,
        "last": contest.last,
        "sessions": of.sessions,
        "holdout_first": contest.holdout_first,
        "split": OUT_OF_SAMPLE,
        "champion": contest.champion,
        "incumbent": contest.incumbent,
        "leader": of.leader,
        "verdict": verdict(of).sentence,
        "why": list(contest.why),
        "notes": list(contest.notes),
        "alpha": contest.alpha,
        "tries": of.tries,
        "significance": finite(contest.significance),
        "parameters": finite(contest.parameters),
        "failures": contest.failures.to_dicts(),
    }


def finite(value: Any) -> Any:
    """`value` with a NaN or infinity as null, numpy's scalars and arrays as plain ones: what JSON can say."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): finite(each) for name, each in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(finite(each) for each in value)
    if isinstance(value, (list, tuple)):
        return [finite(each) for each in value]
    return value


def leader_sheet(of: Board, *, replications: int = REPLICATIONS) -> str:
    """``tear_sheet.html``: the champion, or who leads without being one; equal weight where nobody was back-tested."""
    from openbell.app.reports.tear_sheet import tear_sheet

    contest, leader = of.contest, of.leader
    equity = contest.equity
    title, notes = f"Champion: {leader}", []
    if contest.champion is None:
        title = f"{leader or 'equal weight'} (no champion)"
        notes = ["No entrant passed every gate. This curve leads by weighted score; nothing trades by it."]
    return tear_sheet(
        title,
        equity["session"].to_list(),
        equity[leader or BASELINE].to_numpy(),
        equity[BENCHMARK].to_numpy(),
        benchmark_name=contest.benchmark,
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
    except (OSError, NotImplementedError):
        write_whole(link, f"{folder.name}\n")
        return link
    try:
        beside.replace(link)
    except OSError as failure:
        beside.unlink(missing_ok=True)
        raise storage_failure(link, failure) from failure
    return link


def candidates_record(contest: Contest, folders: Mapping[str, str], saved: Mapping[str, str]) -> dict[str, Any]:
    """``candidates.json``: every model that was trained, where it lies, its hash, and what its scores were worth.

    Parameters
    ----------
    folders : of each saved model, relative to the folder of models. saved : hash of each one's manifest.
    """
    found = board(contest)
    entrants = found.ranking.group_by("model", maintain_order=True).agg("entrant")
    paired = dict(entrants.iter_rows())
    return {
        "desk": contest.desk,
        "as_of": contest.as_of.isoformat(),
        "plan": contest.plan,
        "data": contest.recipe,
        "split": OUT_OF_SAMPLE,
        "tries": found.tries,
        "candidates": [
            {
                **row,
                "folder": folders.get(row["model"]),
                "sha256": saved.get(row["model"]),
                "entrants": paired.get(row["model"], []),
            }
            for row in found.contest.training.iter_rows(named=True)
        ],
    }


def write_candidates(folder: Path, contest: Contest, folders: Mapping[str, str], saved: Mapping[str, str]) -> Path:
    """Write ``candidates.json`` into `folder` (``models/candidates/PLAN``), whole or not at all."""
    path = folder / "candidates.json"
    write_whole(path, json_text(candidates_record(contest, folders, saved)))
    return path


def selection_folder(reports: Path, session: dt.date) -> Path:
    """Where the files of the tournament of `session` go."""
    return reports / "model_selection" / session.isoformat()
