"""The files of a tournament: all of them, the same bytes twice, no hole in the matrix, whole or absent."""

import csv
import errno
import io
import json
import os
import struct
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from openbell.app import selection_files as made_files
from openbell.app.reports.selection_board import board
from openbell.app.selection_files import (
    link_latest,
    selection_files,
    selection_folder,
    write_candidates,
    write_selection,
)
from openbell.core.errors import BadInput, Refused, StorageFailed

sys.path.insert(0, str(Path(__file__).parent))
import contests
from pages import assert_no_missing_words

PROMISED = {
    "training_comparison.csv", "backtest_comparison_matrix.csv", "backtest_comparison.csv",
    "backtest_detailed_results.json", "regime_performance_breakdown.csv", "model_selection_report.html",
    "model_selection_report.md", "equity_curves.png", "champion_vs_benchmark.png", "tear_sheet.html", "gates.csv",
    "cost_sensitivity.csv", "importance.csv", "active_returns.parquet", "selection.json", "tuning.csv", "coverage.csv",
    "failures.csv",
}  # fmt: skip
#: The keys of S2.30.
RUN = {
    "model", "optimizer", "cagr", "sharpe", "max_drawdown", "calmar", "turnover", "win_rate", "total_return",
    "volatility", "regime_performance",
}  # fmt: skip
FEW = 30


@pytest.fixture(scope="module")
def files():
    return selection_files(contests.contest(), replications=FEW)


@pytest.fixture
def folder(tmp_path):
    return selection_folder(tmp_path / "reports", contests.HOLDOUT)


@pytest.fixture
def quick(monkeypatch, files):
    """Writing is what is tested, not making."""
    monkeypatch.setattr(made_files, "selection_files", lambda contest, **_: dict(files))


def chunks(png):
    at, found = 8, []
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        found.append(png[at + 4 : at + 8].decode())
        at += 12 + length
    return found


def test_every_promised_file_is_there(files):
    assert set(files) == PROMISED
    for name, content in files.items():
        if isinstance(content, str):
            assert_no_missing_words(content)
            assert content.endswith("\n") or name.endswith(".html")


def test_the_same_tournament_gives_the_same_bytes(files):
    """Pictures too: no clock and no version of a library in them."""
    again = selection_files(contests.contest.__wrapped__(), replications=FEW)
    assert {name for name in files if files[name] != again[name]} == set()
    for name in ("equity_curves.png", "champion_vs_benchmark.png"):
        assert files[name].startswith(b"\x89PNG")
        assert set(chunks(files[name])) <= {"IHDR", "pHYs", "IDAT", "IEND"}


def test_the_matrix_has_models_as_rows_and_no_holes(files):
    rows = list(csv.DictReader(io.StringIO(files["backtest_comparison_matrix.csv"])))
    assert [row["model"] for row in rows] == list(contests.MODELS)
    matrix = contests.contest().matrix
    for row in rows:
        assert list(row) == ["model", *contests.ALLOCATORS]
        for allocator in contests.ALLOCATORS:
            truth = matrix.filter((pl.col("model") == row["model"]) & (pl.col("allocator") == allocator))["sharpe"][0]
            assert float(row[allocator]) == pytest.approx(truth, abs=1e-9)


def test_a_model_with_a_hole_is_left_to_the_long_form():
    """Kills: an empty cell, or a model that silently disappears everywhere."""
    made = contests.contest()
    holed = replace(made, matrix=made.matrix.filter(pl.col("entrant") != "ridge+hrp"))
    found = made_files.tables_of(board(holed, replications=FEW))
    models = [row["model"] for row in csv.DictReader(io.StringIO(found["backtest_comparison_matrix.csv"]))]
    assert models == ["random_forest", "lightgbm", "xgboost"]
    long = [row["entrant"] for row in csv.DictReader(io.StringIO(found["backtest_comparison.csv"]))]
    assert len(long) == 11
    assert "ridge+equal" in long


def test_each_run_has_its_keys_its_n_and_its_tries(files):
    """S2.30 and check 5."""
    runs = json.loads(files["backtest_detailed_results.json"])
    matrix = contests.contest().matrix
    assert len(runs) == matrix.height
    for run in runs:
        assert set(run) >= RUN
        assert run["n"] == 400
        assert run["tries"] == 62
        assert run["split"] == "out_of_sample"
        assert run["sharpe"] == matrix.filter(pl.col("entrant") == run["entrant"])["sharpe"][0]
        assert run["active_return_lower"] < run["active_return"] < run["active_return_upper"]
        assert set(run["regime_performance"]) == {"Risk-Off", "Normal", "Risk-On"}
        assert sum(each["sessions"] for each in run["regime_performance"].values()) == 400
        assert len(run["gates"]) == 6
    assert [run["rank"] for run in runs] == list(range(1, 13))


def test_tables_are_the_frames(files):
    made = contests.contest()
    assert_frame_equal(pl.read_parquet(io.BytesIO(files["active_returns.parquet"])), made.active)
    for name, frame in (("gates.csv", made.gates), ("cost_sensitivity.csv", made.costs)):
        assert_frame_equal(pl.read_csv(files[name].encode()), frame, check_dtypes=False, abs_tol=1e-9)
    regimes = pl.read_csv(files["regime_performance_breakdown.csv"].encode())
    assert regimes.height == made.regimes.height
    assert regimes["model"].null_count() == 0
    kinds = pl.read_csv(files["importance.csv"].encode())["kind"].value_counts().rows()
    assert dict(kinds) == {"permutation": made.importance.height, "shap": made.shap.height}


def test_the_record_says_null_where_a_number_is_none(files):
    record = json.loads(files["selection.json"])
    assert record["significance"]["pbo"]["slope"] is None
    assert record["champion"] == record["leader"] == "lightgbm+equal"
    assert record["holdout_first"] == contests.HOLDOUT.isoformat()
    assert "stepm stopped" in record["verdict"]


def test_no_champion_is_said_in_every_file():
    found = selection_files(contests.contest(champion=False, failed="ridge"), replications=FEW)
    assert json.loads(found["selection.json"])["champion"] is None
    assert "No champion" in found["model_selection_report.md"]
    assert "(no champion)" in found["tear_sheet.html"]
    training = list(csv.DictReader(io.StringIO(found["training_comparison.csv"])))
    assert [row["status"] for row in training if row["model"] == "ridge"] == ["failed"]
    assert [row["rank_ic"] for row in training if row["model"] == "ridge"] == [""]
    assert found["champion_vs_benchmark.png"].startswith(b"\x89PNG")


def test_a_folder_is_written_whole_and_replaced_whole(folder, quick, files):
    written = write_selection(folder, contests.contest())
    assert {path.name for path in folder.iterdir()} == set(files) == {path.name for path in written}
    (folder / "stale.csv").write_text("of an older tournament")
    write_selection(folder, contests.contest())
    assert {path.name for path in folder.iterdir()} == set(files)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize("at", [0, 7, 17])
def test_a_full_disk_leaves_what_was_there(folder, quick, monkeypatch, at):
    """Kills: a folder with half of the files of a new tournament."""
    folder.mkdir(parents=True)
    (folder / "old.csv").write_text("whole")
    count = iter(range(100))

    def failing(path, content):
        if next(count) == at:
            raise StorageFailed("There is no room left.")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    monkeypatch.setattr(made_files, "write_whole", failing)
    with pytest.raises(StorageFailed):
        write_selection(folder, contests.contest())
    assert [path.name for path in folder.parent.rglob("*")] == [folder.name, "old.csv"]


@pytest.mark.parametrize("fails", [1, 2])
def test_a_rename_that_fails_puts_the_old_folder_back(folder, quick, monkeypatch, fails):
    folder.mkdir(parents=True)
    (folder / "old.csv").write_text("whole")
    real, count = Path.rename, iter(range(1, 100))

    def failing(self, target):
        if next(count) == fails:
            raise OSError(errno.EACCES, "Permission denied")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(StorageFailed, match="cannot be written"):
        write_selection(folder, contests.contest())
    monkeypatch.undo()
    assert [path.name for path in folder.iterdir()] == ["old.csv"]


def test_what_a_killed_run_left_is_put_right(folder, quick, files):
    """Killed between the two renames: the old folder stands aside. Killed before: a draft lies about."""
    gone = 2**22 + 1
    draft = folder.with_name(f".{folder.name}.{gone}.draft")
    draft.mkdir(parents=True)
    (draft / "half").write_text("")
    old = folder.with_name(f".{folder.name}.{gone}.old")
    old.mkdir()
    running = folder.with_name(f".{folder.name}.{os.getppid()}.draft")
    running.mkdir()
    write_selection(folder, contests.contest())
    assert {path.name for path in folder.iterdir()} == set(files)
    assert sorted(path.name for path in folder.parent.iterdir()) == sorted([folder.name, running.name])


def test_nothing_is_written_of_a_tournament_that_read_its_holdout(folder):
    """check 8."""
    with pytest.raises(Refused, match="hold-out"):
        write_selection(folder, replace(contests.contest(), holdout_first=contests.contest().first))
    assert not folder.parent.exists()


def test_latest_leads_to_the_last_one(tmp_path):
    first, second = tmp_path / "2019-03-01", tmp_path / "2020-03-02"
    for each in (first, second):
        each.mkdir()
        (each / "selection.json").write_text(each.name)
    for each in (first, second):
        link = link_latest(each)
        assert (link / "selection.json").read_text() == each.name
    assert os.readlink(link) == "2020-03-02", "a relative link survives moving the home"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2019-03-01", "2020-03-02", "latest"]


def test_latest_is_a_file_where_links_are_impossible(tmp_path, monkeypatch):
    def impossible(self, target, target_is_directory=False):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", impossible)
    (tmp_path / "2020-03-02").mkdir()
    assert link_latest(tmp_path / "2020-03-02").read_text() == "2020-03-02\n"


def test_latest_replaces_neither_a_folder_nor_leads_nowhere(tmp_path):
    with pytest.raises(BadInput, match="no folder"):
        link_latest(tmp_path / "2020-03-02")
    (tmp_path / "2020-03-02").mkdir()
    (tmp_path / "latest").mkdir()
    with pytest.raises(BadInput, match="folder of its own"):
        link_latest(tmp_path / "2020-03-02")


def test_candidates_are_listed_with_where_they_lie(tmp_path):
    made = contests.contest(failed="ridge")
    path = write_candidates(tmp_path / "plan", made, {"lightgbm": "plan/lightgbm"}, {"lightgbm": "ab" * 32})
    said = {row["model"]: row for row in json.loads(path.read_text())["candidates"]}
    assert said["lightgbm"]["folder"] == "plan/lightgbm"
    assert said["lightgbm"]["sha256"] == "ab" * 32
    assert said["lightgbm"]["entrants"] == ["lightgbm+equal", "lightgbm+hrp", "lightgbm+max_sharpe"]
    assert said["ridge"]["status"] == "failed"
    assert said["ridge"]["folder"] is None
    assert said["ridge"]["entrants"] == []
