"""Back-tests on record, of every desk: listed, and laid side by side on the sessions that they share."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from openbell.app.evidence_files import evidence
from openbell.app.outputs import finite
from openbell.core.errors import BadInput, DataMissing, unknown
from openbell.core.hashing import digest
from openbell.quant.intervals import Estimate, estimate, mean_block
from openbell.quant.performance import marks_per_year
from openbell.research.gate_judged import bounded

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.store.journal import Record

KIND, EQUITY, OURS = "backtest", "equity", "value"
#: Figures that every back-test on record has, None where there is none; ``*_low`` and ``*_high`` are of 95 %.
FIGURES = (
    "total_return", "annual_return", "annual_return_low", "annual_return_high", "sharpe", "sharpe_low", "sharpe_high",
    "volatility", "max_drawdown", "value_at_risk_95", "win_rate", "win_rate_low", "win_rate_high", "cost_usd",
)  # fmt: skip
#: How many letters of an id are shown; any that are enough to tell it are taken.
SHOWN = 12
_BLOCK_SESSIONS = 5


@dataclass(frozen=True, eq=False)
class Kept:
    """One back-test on record.

    `payload` has ``id``, ``desk``, ``name``, ``first``, ``last``, ``sessions``, ``trades``, ``win_of`` (what the win
    rate counts), ``tries``, ``costs``, ``made_of`` (hashes) and `FIGURES`.
    """

    payload: Mapping[str, Any]
    folder: Path
    at: dt.datetime
    of_stocks: bool = False

    @property
    def key(self) -> str:
        """Its id."""
        return str(self.payload["id"])

    @property
    def line(self) -> str:
        """Where it is, in words."""
        return f"On record as {self.key[:SHOWN]}: `openbell backtest list` shows it beside the others."

    @property
    def equity(self) -> pl.DataFrame:
        """``session`` and ``value`` at every mark, the first being the capital before; checked against its hash."""
        hashes = self.payload["evidence"]
        if not self.of_stocks:
            return evidence(self.folder, EQUITY, hashes[EQUITY]).select("session", OURS)
        from openbell.app.evidence import load

        return load(self.folder, hashes).frames[EQUITY].select("session", pl.col("policy").alias(OURS))

    def frame(self, name: str) -> pl.DataFrame:
        """Another frame that was kept beside it, for example ``trades``."""
        hashes = self.payload["evidence"]
        if self.of_stocks or name not in hashes:
            raise unknown("frame of this back-test", name, [] if self.of_stocks else hashes)
        return evidence(self.folder, name, hashes[name])


def kept(home: Home, record: Record) -> Kept:
    """The back-test that `record` of the journal tells of."""
    key = str(record.payload["id"])
    return Kept(record.payload, folder_of(home, key), record.at)


def folder_of(home: Home, key: str) -> Path:
    """Where the frames of the back-test `key` lie."""
    return home.path / "backtests" / key[:16]


def _of_stocks(home: Home, record: Record) -> Kept | None:
    """The back-test that a training or tournament of the stocks desk leaves in its evidence; None where it is gone."""
    from openbell.app.evidence import load

    payload = record.payload
    folder = home.models / payload["training"] / "evidence"
    if not folder.is_dir():
        return None
    figures, frames = (found := load(folder, payload["evidence"])).figures, found.frames
    ours, parameters = figures["metrics"]["policy"], figures["parameters"]
    parts = {name: {f"{name}{end}": ours["intervals"][name][part] for part, end in
                    (("value", ""), ("low", "_low"), ("high", "_high"))}
             for name in ("annual_return", "sharpe", "win_rate")}  # fmt: skip
    return Kept(
        {
            "id": digest([KIND, record.kind, payload["training"], record.hash]),
            "desk": payload["desk"], "name": payload["champion"] or f"no view ({record.kind})",
            "evidence": payload["evidence"], **span(frames["equity"]),
            "trades": frames["rebalances"].height, "trades_are": "rebalances", "win_of": "sessions",
            **{name: ours[name] for name in ("total_return", "volatility", "max_drawdown", "value_at_risk_95")},
            **parts["annual_return"], **parts["sharpe"], **parts["win_rate"],
            "cost_usd": float(frames["rebalances"]["cost_usd"].sum()), "tries": payload["tries"],
            "costs": {name: parameters.get(name) for name in ("commission_bp", "slippage_bp")},
            "made_of": {"training": payload["training"], "settings": payload["settings"]},
            "notes": list(payload["notes"]),
        },
        folder,
        record.at,
        of_stocks=True,
    )  # fmt: skip


def span(equity: pl.DataFrame) -> dict[str, Any]:
    """First and last mark, and how many sessions lie between."""
    days = equity["session"]
    return {"first": str(days[0]), "last": str(days[-1]), "sessions": equity.height - 1}


def backtests(home: Home, desk: str | None = None) -> list[Kept]:
    """Every back-test on record, or those of one desk, oldest first.

    Those of the stocks desk are what its trainings and tournaments were judged on; all others were asked for.
    """
    if desk is not None and desk not in home.catalogue.desks:
        raise unknown("desk", desk, home.catalogue.desks)
    journal = home.kept_journal
    found = [(each.at, each.seq, kept(home, each)) for each in journal.records(kind=KIND, desk=desk)]
    if desk in (None, "stocks"):
        for each in journal.records(kind=("training", "tournament"), desk="stocks"):
            own = _of_stocks(home, each)
            if own is not None:
                found.append((each.at, each.seq, own))
    return [each for _, _, each in sorted(found, key=lambda each: each[:2])]


def table(found: Sequence[Kept]) -> pl.DataFrame:
    """A row per back-test, in numbers."""
    names = ("id", "desk", "name", "first", "last", "sessions", "trades", *FIGURES, "win_of", "tries")
    rows = [{name: each.payload.get(name) for name in names} for each in found]
    kinds = {**dict.fromkeys(names, pl.String), "sessions": pl.Int64, "trades": pl.Int64, "tries": pl.Int64}
    return pl.DataFrame(rows, schema={**kinds, **dict.fromkeys(FIGURES, pl.Float64)})


def in_words(found: pl.DataFrame) -> pl.DataFrame:
    """`table` for a terminal."""

    def said(name: str, form: str) -> pl.Series:
        values = ["-" if each is None else form.format(each) for each in found[name].to_list()]
        return pl.Series(name, values, dtype=pl.String)

    bounds = pl.Series("95 %", [f"{low} to {high}" if low != "-" else "-" for low, high in
                                zip(said("sharpe_low", "{:+.2f}"), said("sharpe_high", "{:+.2f}"), strict=True)],
                       dtype=pl.String)  # fmt: skip
    return pl.DataFrame([
        found["id"].str.slice(0, SHOWN), found["desk"], found["name"],
        pl.Series("span", [f"{a} to {b}" for a, b in found.select("first", "last").iter_rows()], dtype=pl.String),
        found["sessions"], found["trades"], said("total_return", "{:+.1%}").alias("return"),
        said("sharpe", "{:+.2f}").alias("Sharpe"), bounds, said("max_drawdown", "{:.1%}").alias("drawdown"),
        said("win_rate", "{:.0%}").alias("won"), said("cost_usd", "{:,.0f}").alias("costs USD"), found["tries"],
    ])  # fmt: skip


def named(found: Sequence[Kept], ids: Sequence[str]) -> list[Kept]:
    """The back-tests that `ids` begin; one that fits none, or several, is refused."""
    chosen = []
    for wanted in ids:
        fits = [each for each in found if each.key.startswith(wanted)]
        if not fits:
            raise unknown("back-test", wanted, [each.key[:SHOWN] for each in found])
        if len(fits) > 1:
            raise BadInput(
                f"`{wanted}` begins {len(fits)} back-tests: {', '.join(each.key[:SHOWN] for each in fits)}. Give more "
                "of the letters."
            )
        chosen.append(fits[0])
    if len({each.key for each in chosen}) < 2 or len({each.key for each in chosen}) < len(chosen):
        raise BadInput(f"A comparison needs at least two back-tests, each once; there were {', '.join(ids) or 'none'}.")
    return chosen


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Back-tests side by side.

    Attributes
    ----------
    table : as `table` gives it. differences : per other back-test against the first, on the sessions of both:
        ``id``, ``sessions``, ``first``, ``last``, ``difference`` of the mean log return per year, first less other,
        with ``_low`` and ``_high`` (blocks of sessions, both resampled together); null without enough of them.
    made_of : hashes of each by its id; alike are those of one recipe. notes : what has to be said beside it.
    """

    table: pl.DataFrame
    differences: pl.DataFrame
    made_of: Mapping[str, Mapping[str, Any]]
    notes: tuple[str, ...]

    def told(self) -> list[tuple[str, pl.DataFrame]]:
        """Tables for a terminal, each with its title."""
        first, rows = str(self.table["id"][0])[:SHOWN], self.differences
        bounds = ["-" if low is None else f"{low:+.1%} to {high:+.1%}" for low, high in
                  rows.select("difference_low", "difference_high").iter_rows()]  # fmt: skip
        words = pl.DataFrame({
            f"{first} less": rows["id"].str.slice(0, SHOWN), "shared sessions": rows["sessions"],
            "from": rows["first"], "to": rows["last"], "a year": [
                "-" if each is None else f"{each:+.1%}" for each in rows["difference"]], "95 %": bounds,
        })  # fmt: skip
        hashes = [{"id": name[:SHOWN], **{what: str(value)[:SHOWN] for what, value in each.items()}}
                  for name, each in self.made_of.items()]  # fmt: skip
        return [("", in_words(self.table)), ("Mean log return a year, first less other", words),
                ("Made of", pl.DataFrame(hashes, infer_schema_length=None))]  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        """For a program to read."""
        return finite({
            "backtests": self.table.to_dicts(), "differences": self.differences.to_dicts(),
            "made_of": {name: dict(each) for name, each in self.made_of.items()}, "notes": list(self.notes),
        })  # fmt: skip


def compare(home: Home, ids: Sequence[str], *, seed: int = 0, replications: int = 1000) -> Comparison:
    """The back-tests of `ids` side by side; the first is the one the others are held against.

    Raises
    ------
    BadInput
        On an id that fits none or several, or fewer than two.
    """
    chosen = named(backtests(home), ids)
    first, rows, notes = chosen[0], [], []
    for other in chosen[1:]:
        found, shared = difference(first.equity, other.equity, seed=seed, replications=replications)
        rows.append(
            {"id": other.key, "sessions": max(shared.len() - 1, 0),
             "first": str(shared[0]) if shared.len() else None, "last": str(shared[-1]) if shared.len() else None,
             **bounded("difference", found)}
        )  # fmt: skip
        notes += _notes(first, other, found, shared)
    kinds = dict.fromkeys(("difference", "difference_low", "difference_high"), pl.Float64)
    schema = {"id": pl.String, "sessions": pl.Int64, "first": pl.String, "last": pl.String, **kinds}
    made_of = {each.key: each.payload["made_of"] for each in chosen}
    return Comparison(table(chosen), pl.DataFrame(rows, schema=schema), made_of, tuple(dict.fromkeys(notes)))


def difference(
    ours: pl.DataFrame, theirs: pl.DataFrame, *, seed: int = 0, replications: int = 1000
) -> tuple[Estimate, pl.Series]:
    """Mean log return per year of one curve less another's, on the marks that both have; and those marks.

    Both are ``session value``. Between two shared marks each curve earns what it earned over all marks between. The
    interval resamples blocks of the differences, so what both curves share drops out.
    """
    both = ours.join(theirs, on="session", suffix="_other").sort("session")
    days = both["session"]
    if both.height < 3:
        return Estimate(None, None, None, max(both.height - 1, 0), 0.95, 0), days
    logs = np.log(both.select(OURS, f"{OURS}_other").to_numpy())
    gaps = np.diff(logs[:, 0]) - np.diff(logs[:, 1])
    per_year = marks_per_year(days.to_list())
    block = mean_block(_BLOCK_SESSIONS, len(gaps))
    found = estimate(
        gaps, lambda samples: samples.mean(axis=1) * per_year, block=block, replications=replications, seed=seed
    )
    return found, days


def _notes(first: Kept, other: Kept, found: Estimate, shared: pl.Series) -> list[str]:
    pair = f"{first.key[:SHOWN]} and {other.key[:SHOWN]}"
    if found.value is None:
        return [f"{pair} share {shared.len()} marks: there is nothing to compare."]
    told = []
    if found.low is None:
        told.append(f"{pair} share {found.n} sessions, too few for an interval.")
    elif not found.excludes(0.0):
        told.append(f"The difference of {pair} is not told from 0 on the {found.n:,} sessions that they share.")
    if first.payload["costs"] != other.payload["costs"]:
        told.append(f"{pair} were not charged the same costs.")
    if first.payload["tries"] != other.payload["tries"]:
        told.append(f"{pair} were chosen among {first.payload['tries']} and {other.payload['tries']} tries.")
    return told


def needed(home: Home, desk: str | None = None) -> list[Kept]:
    """`backtests`, of which there must be one."""
    found = backtests(home, desk)
    if not found:
        raise DataMissing(
            f"There is no back-test{'' if desk is None else f' of the desk {desk}'} on record in {home.path}. Make one "
            "with `openbell backtest signals`, `backtest options`, `backtest gate` or `train stocks`."
        )
    return found
