"""Every command that the documents show is run, and every link leads somewhere."""

import csv
import datetime as dt
import functools
import json
import re
import shlex
import shutil
import sys

import numpy as np
import pytest

from openbell.app import cli, tournament
from openbell.app.selection_files import write_selection
from openbell.market.calendars import sessions

#: One worker imports and trains the home that all documents share.
pytestmark = pytest.mark.xdist_group("documents")

DOCUMENTS = (
    "README.md",
    "docs/stocks.md",
    "docs/options.md",
    "docs/gate.md",
    "docs/signals.md",
    "docs/session.md",
    "docs/lab.md",
    "docs/data.md",
    "docs/design.md",
    "docs/DAILY_LIVE_OPERATIONS.md",
    "docs/TRADE_EXECUTION_GUIDE.md",
    "docs/MODEL_SELECTION_GUIDE.md",
    "docs/HYPERPARAMETER_TUNING.md",
)
#: Reduced sizes: what is tested here is that the commands are as they are written.
SMALL = {
    "DATA__BENCHMARK": "equal_weight",
    "TRAIN__CANDIDATES": '["naive", "ridge"]',
    "TRAIN__FOLDS": "2",
    "TRAIN__REPLICATIONS": "1000",
    "TRAIN__MIN_TRAIN_SESSIONS": "60",
    "TRAIN__WARMUP_SESSIONS": "120",
    "TRAIN__JOBS": "1",
    "TOURNAMENT__CANDIDATES": '["naive", "ridge"]',
    "TOURNAMENT__ALLOCATORS": '["equal"]',
    "TOURNAMENT__TRAIN_SESSIONS": "120",
    "TOURNAMENT__REFIT_SESSIONS": "120",
    "TOURNAMENT__REPLICATIONS": "1000",
    "TOURNAMENT__CPCV_GROUPS": "0",
    "TOURNAMENT__TRIALS": "2",
    "MODELS__XGBOOST__N_ESTIMATORS": "10",
    "MODELS__XGBOOST_CLASSIFIER__N_ESTIMATORS": "5",
    "SIGNALS__CANDIDATES": '["xgboost_classifier"]',
    "SIGNALS__SYMBOLS": '["N00", "N01", "N02"]',
    "SIGNALS__MIN_TRAIN_SESSIONS": "150",
    "SESSION__BASE": "15m",
    "SESSION__CANDIDATES": '["logistic"]',
    "SESSION__MIN_TRAIN_SESSIONS": "60",
    "SESSION__REFIT_SESSIONS": "60",
    "OPTIONS__CANDIDATES": '["lightgbm", "catboost"]',
    "OPTIONS__MIN_TRAIN_SESSIONS": "60",
    "MODELS__LIGHTGBM__N_ESTIMATORS": "5",
    "MODELS__LIGHTGBM_CLASSIFIER__N_ESTIMATORS": "5",
    "MODELS__CATBOOST__N_ESTIMATORS": "5",
    "MODELS__CATBOOST_CLASSIFIER__N_ESTIMATORS": "5",
}
SMALLER = {"--trials 100": "--trials 2"}
#: Exit codes that an honest answer may have: a comparison that differs is 1, and so is a tournament that nobody
#: survives, after which there is nobody to evaluate and nobody to go back to.
HONEST = {
    "openbell positions reconcile": {0, 1},
    "openbell tournament stocks": {0, 1},
    "openbell holdout open stocks": {0, 1},
    "openbell rollback stocks": {0, 1},
    "openbell options simulate": {0, 1},
    "openbell odds": {1},
}


#: Small files of the kinds that the documents import.
FILES = {
    "positions.csv": "symbol,shares\nN01,10\nCASH,99000\n",
    "config.yaml": "live:\n  max_position_pct: 0.12\n",
    "members.csv": "ticker,start_date,end_date\nN01,2018-01-02,\nN02,2018-01-02,2019-06-03\n",
    "sectors.csv": "symbol,sector\nN01,Energy\nN02,Utilities\n",
    "rates.csv": "date,value\n2020-03-12,0.88\n2020-03-13,0.94\n",
    "orders.txt": "BUY +1 Butterfly SPX 100 22 May 25 5905/5855/5805 CALL @24.82 LMT\n",
    "sheets/2023-11-13-64E0C/profit 2023-11-13.csv": (
        "Day,Hour,Symbol,Price,Name,Premium,Predicted,Closed,Expired,Trade,Risk,Reward,Ratio,Profit\n"
        "2023-11-13,09:35,SPX,4406.66,Iron Condor,.63,4405,4411.55,4411.55,"
        "SELL -1 Iron Condor SPX 100 13 NOV 23 4435/4445/4375/4365 CALL/PUT @0.63 LMT,9.37,.63,.067,.63\n"
    ),
}


WORDS = ("open", "high", "low", "close", "volume")


def _commands(text):
    for block in re.findall(r"```(?:console|sh)\n(.*?)```", text, flags=re.DOTALL):
        for line in block.splitlines():
            command = line.removeprefix("$ ").strip()
            if command.startswith("openbell "):
                yield command


def _write_bars(path):
    """A random walk of 40 names on real sessions up to 2020-03-13, with volume."""
    random = np.random.default_rng(7)
    days = sessions("XNYS").between(dt.date(2018, 1, 2), dt.date(2020, 3, 13))
    closes = 50.0 * np.exp(np.cumsum(random.normal(0.0, 0.02, (len(days), 40)), axis=0))
    volumes = random.integers(1_000_000, 5_000_000, closes.shape)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["symbol", "date", "close", "volume"])
        for name in range(closes.shape[1]):
            for day, close, volume in zip(days, closes[:, name], volumes[:, name], strict=True):
                writer.writerow([f"N{name:02d}", day.isoformat(), f"{close:.4f}", int(volume)])


def _write_indices(folder):
    """An index, a fund on it and a volatility index, as random as the bars, with the columns that such files have."""
    random = np.random.default_rng(11)
    days = sessions("XNYS").between(dt.date(2018, 1, 2), dt.date(2020, 3, 13))
    level = 15.0 * np.exp(
        np.convolve(random.normal(0.0, 0.05, len(days) + 60), 0.95 ** np.arange(60))[60 : len(days) + 60]
    )
    moves = level[:, None] / 1600.0 * random.normal(size=(len(days), 6))
    close = 2700.0 * np.exp(np.cumsum(moves[:, 0]))
    start = np.concatenate([[2700.0], close[:-1]]) * np.exp(0.3 * moves[:, 1])
    high = np.maximum(start, close) * np.exp(np.abs(0.3 * moves[:, 2]))
    low = np.minimum(start, close) * np.exp(-np.abs(0.3 * moves[:, 3]))
    volume = random.integers(3_000_000_000, 5_000_000_000, len(days)).astype(float)
    fund = 0.1 * np.exp(0.1 * moves[:, 4])
    columns = {
        "SPX_daily.csv": (start, high, low, close, volume),
        "SPY_daily.csv": (*(each * fund for each in (start, high, low, close)), volume),
        "VIX_daily.csv": (
            level,
            level * np.exp(np.abs(moves[:, 5])),
            level * np.exp(-np.abs(moves[:, 2])),
            level,
            None,
        ),
    }
    for name, table in columns.items():
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            kept = [(word, each) for word, each in zip(WORDS, table, strict=True) if each is not None]
            writer.writerow(["date", *(word for word, _ in kept)])
            for row, day in enumerate(days):
                writer.writerow([day.isoformat(), *(f"{each[row]:.4f}" for _, each in kept)])


def _write_minutes(path):
    """Half a year of a random walk in bars of 15 minutes, on the clock of New York, as such files come: no header."""
    random = np.random.default_rng(13)
    days = sessions("XNYS").between(dt.date(2019, 9, 3), dt.date(2020, 3, 13))
    starts = [dt.timedelta(minutes=570 + 15 * number) for number in range(26)]
    closes = 3000.0 * np.exp(np.cumsum(random.normal(0.0, 0.0015, len(days) * len(starts))))
    opens = np.concatenate([[3000.0], closes[:-1]])
    away = np.abs(random.normal(0.0, 1.0, (2, len(closes))))
    moments = [dt.datetime.combine(day, dt.time()) + start for day in days for start in starts]
    with path.open("w", newline="", encoding="utf-8") as file:
        for at, start, high, low, close in zip(
            moments,
            opens,
            np.maximum(opens, closes) + away[0],
            np.minimum(opens, closes) - away[1],
            closes,
            strict=True,
        ):
            file.write(f"{at:%m/%d/%Y,%H:%M},{start:.2f},{high:.2f},{low:.2f},{close:.2f},1000\n")


def _main(command, patch):
    for written, smaller in SMALLER.items():
        command = command.replace(written, smaller)
    patch.setattr(sys, "argv", shlex.split(command))
    # The intervals of a report are most of its time.
    patch.setattr(tournament, "write_selection", functools.partial(write_selection, replications=20))
    cli.app.registered_commands.clear()
    cli.app.registered_groups.clear()
    with pytest.raises(SystemExit) as finished:
        cli.main()
    return finished.value.code or 0


def _run(command, patch, capfd):
    code = _main(command, patch)
    said = capfd.readouterr()
    allowed = next((codes for start, codes in HONEST.items() if command.startswith(start)), {0})
    assert code in allowed, f"`{command}` ended with {code}:\n{said.out[-2000:]}\n{said.err[-2000:]}"
    assert "Traceback" not in said.err


def _enter(folder, patch):
    patch.chdir(folder)
    for key, value in SMALL.items():
        patch.setenv(f"OPENBELL__{key}", value)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder with the files that the documents speak of, and a home that is imported and trained."""
    folder = tmp_path_factory.mktemp("documents")
    _write_bars(folder / "bars.csv")
    _write_indices(folder)
    _write_minutes(folder / "ES.txt")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        _enter(folder, patch)
        for command in ("data import bars bars.csv", "train stocks --as-of 2020-03-16"):
            assert _main(f"openbell {command} --home home", patch) == 0
    return folder


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_commands_of_a_document_run_in_their_order(root, prepared, tmp_path, monkeypatch, capfd, name):
    """check 53. Kills: an option that was renamed, a command that was never built."""
    commands = list(_commands((root / name).read_text(encoding="utf-8")))
    assert commands
    folder = tmp_path / "work"
    shutil.copytree(prepared, folder)
    _enter(folder, monkeypatch)
    for command in commands:
        _run(command, monkeypatch, capfd)


def test_a_dry_run_writes_every_file_and_orders_nothing(prepared, tmp_path, monkeypatch, capfd):
    """Kills: ordering by default; a promised file that is not written."""
    folder = tmp_path / "work"
    shutil.copytree(prepared, folder)
    _enter(folder, monkeypatch)
    _run("openbell run stocks --as-of 2020-03-16 --home home --out live", monkeypatch, capfd)
    of_the_day = {path.name for path in (folder / "live" / "2020-03-16").iterdir()}
    promised = {"trades.csv", "portfolio_weights.csv", "signals.json", "report.html", "monitoring_log.json"}
    assert promised <= of_the_day
    assert _main("openbell journal show --kind order --json --home home", monkeypatch) == 0
    assert json.loads(capfd.readouterr().out) == []
    _run("openbell run stocks --as-of 2020-03-16 --home home --out live --execute", monkeypatch, capfd)
    assert {"current_positions.csv", "performance_history.csv"} <= {path.name for path in (folder / "live").iterdir()}
    assert _main("openbell journal show --kind order --json --home home", monkeypatch) == 0
    assert json.loads(capfd.readouterr().out) != []


def test_every_document_is_run_or_shows_no_command(root):
    shown = [path for path in (root / "docs").glob("*.md") if list(_commands(path.read_text(encoding="utf-8")))]
    assert {f"docs/{path.name}" for path in shown} <= set(DOCUMENTS)


def test_every_link_leads_somewhere(root):
    pages = [*root.glob("*.md"), *(root / "docs").rglob("*.md")]
    dead = [
        (page.name, target)
        for page in pages
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert dead == []
