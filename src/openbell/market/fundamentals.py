"""Filed reports into facts: known from the day after the filing on, the first version only, and no snapshots."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from openbell.core.errors import BadInput, DataMissing, nearest
from openbell.core.time import MOMENT, utc
from openbell.market.importing import Appendable
from openbell.market.layouts import plain

#: A report without a filing date is taken as filed so many days after its period.
FILING_LAG_DAYS = 45
#: Facts can be used from so many days after the filing on.
USABLE_AFTER_DAYS = 1
SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "symbol": ("symbol", "ticker"),
    "period_end": ("period_end", "end_date", "period", "report_date", "fiscal_date_ending"),
    "filed": ("filed", "filed_file_date", "filing_date", "public_date", "filed_date"),
}
KEY = ["symbol", "period_end"]
FOCUS = "period_focus"
#: Names of columns that are ratios and not amounts: the words a snapshot detector looks at.
RATIO = re.compile(r"(^|_)(ratio|margin|yield|roe|roa|roic|pe|pb|ps|peg|turnover|leverage|growth)(_|$)")
SNAPSHOT_FILINGS = 3
SNAPSHOT_SHARE = 0.2


@dataclass(frozen=True, eq=False)
class FundamentalsReport:
    """What became of a file of reports: ``received == stored + repeats + unusable + known``."""

    name: str
    received: int
    stored: int
    repeats: int
    unusable: int
    known: int
    without_filing_date: int
    symbols: int
    columns: tuple[str, ...]
    commit: str | None
    notes: tuple[str, ...]


def import_fundamentals(
    tables: Appendable,
    path: str | Path,
    *,
    at: dt.datetime,
    columns: Mapping[str, str] | None = None,
    dry_run: bool = False,
) -> FundamentalsReport:
    """Add the reports of a Parquet or CSV file to the table `fundamentals`, in one commit.

    A report is known from the start of the day after its filing on; without a filing date, from 46 days after the
    end of its period on. Of several reports of one period the first filed is kept: a later one repeats or amends it.

    Parameters
    ----------
    at : moment of the import, aware; it marks a report that was filed before one that is already stored.
    columns : our name (``symbol``, ``period_end``, ``filed``) -> the file's column.

    Raises
    ------
    BadInput : a column is missing, no row can be used, or a ratio is a snapshot of one day written into the past.
    """
    at = utc(at)
    place = Path(path)
    raw = _read(place)
    rows = reports(raw, columns, path=place.name)
    usable = rows.drop_nulls(["symbol", "period_end"])
    if usable.is_empty():
        raise BadInput(f"No row of {place.name} has both a symbol and the end of a period; there is nothing to import.")
    first = usable.sort([*KEY, "filed", "row"], nulls_last=True).unique(KEY, keep="first", maintain_order=True)
    refuse_snapshots(first, path=place.name)
    lagging = first["filed"].null_count()
    facts = _stamped(first.drop("row"), place.name)
    news = _news(facts, tables)
    commit = None
    if news.height and not dry_run:
        commit = tables.append_all({"fundamentals": news})
    numeric = tuple(name for name in facts.columns if facts.schema[name] == pl.Float64)
    notes = [f"The reports of {place.name} are the first filed of each period; amendments are not in them."]
    if lagging:
        notes.append(
            f"{lagging} reports have no filing date; they are used from {FILING_LAG_DAYS} days after the period on."
        )
    return FundamentalsReport(
        place.name,
        raw.height,
        news.height,
        usable.height - first.height,
        raw.height - usable.height,
        facts.height - news.height,
        lagging,
        facts["symbol"].n_unique(),
        numeric,
        commit,
        tuple(notes),
    )


def reports(raw: pl.DataFrame, columns: Mapping[str, str] | None = None, *, path: str = "the file") -> pl.DataFrame:
    """`raw` with ``row``, ``symbol``, ``period_end``, ``filed`` and its numeric columns as Float64.

    Where it is there, ``period_focus`` (FY, Q1, …) is kept: it says whether an amount is of a year or of a quarter.
    """
    named = _named(raw, dict(columns or {}), path)
    numeric = [
        name
        for name, kind in raw.schema.items()
        if kind.is_numeric() and name not in named.values() and not plain(name).endswith("year")
    ]
    if not numeric:
        raise BadInput(f"There is no numeric column in {path}; a report needs at least one number.")
    filed = _day(raw[named["filed"]]) if "filed" in named else pl.Series([None] * raw.height, dtype=pl.Date)
    return pl.DataFrame(
        [
            raw[named["symbol"]].cast(pl.String).str.strip_chars().replace("", None).alias("symbol"),
            _day(raw[named["period_end"]]).alias("period_end"),
            filed.alias("filed"),
            *(raw[name].cast(pl.Float64).fill_nan(None).alias(plain(name)) for name in numeric),
            *(raw[name].cast(pl.String).alias(FOCUS) for name in raw.columns if plain(name) == FOCUS),
        ]
    ).with_row_index("row")


def _read(place: Path) -> pl.DataFrame:
    if not place.is_file():
        raise DataMissing(f"There is no file `{place}`.")
    frame = pl.read_parquet(place) if place.suffix == ".parquet" else pl.read_csv(place, infer_schema_length=None)
    if frame.is_empty():
        raise BadInput(f"The file `{place.name}` has no rows; there is nothing to import.")
    return frame


def _named(raw: pl.DataFrame, chosen: dict[str, str], path: str) -> dict[str, str]:
    for ours, theirs in chosen.items():
        if ours not in SYNONYMS or theirs not in raw.columns:
            raise BadInput(
                f"The map `{ours}={theirs}` fits neither our columns nor {path}. {nearest(theirs, raw.columns)}"
            )
    found = dict(chosen)
    for ours, words in SYNONYMS.items():
        fitting = [name for name in raw.columns if plain(name) in words and name not in chosen.values()]
        if ours not in found and len(fitting) > 1:
            raise BadInput(
                f"In {path} the columns {', '.join(fitting)} could each be `{ours}`. "
                f"Name one with `--map {ours}=COLUMN`."
            )
        if ours not in found and fitting:
            found[ours] = fitting[0]
    for ours in ("symbol", "period_end"):
        if ours not in found:
            raise BadInput(
                f"There is no column for `{ours}` in {path}. {nearest(ours, raw.columns)} "
                f"Name it with `--map {ours}=COLUMN`."
            )
    return found


def _day(column: pl.Series) -> pl.Series:
    """Dates out of dates, ``YYYYMMDD`` or ``YYYY-MM-DD``; anything else is refused, an empty cell is null."""
    if column.dtype == pl.Date:
        return column
    if isinstance(column.dtype, pl.Datetime):
        return column.dt.date()
    text = column.cast(pl.String).str.strip_chars().replace("", None)
    day = text.str.replace_all("-", "").str.to_date("%Y%m%d", strict=False)
    wrong = text.filter(day.is_null() & text.is_not_null())
    if len(wrong):
        raise BadInput(
            f"The column `{column.name}` holds `{wrong[0]}`, which is no date. Write YYYY-MM-DD or YYYYMMDD."
        )
    return day


def _stamped(first: pl.DataFrame, source: str) -> pl.DataFrame:
    assumed = pl.col("period_end") + pl.duration(days=FILING_LAG_DAYS)
    usable = pl.coalesce("filed", assumed) + pl.duration(days=USABLE_AFTER_DAYS)
    known = usable.cast(pl.Datetime("us")).dt.replace_time_zone("UTC").cast(MOMENT)
    return first.with_columns(known.alias("known_at"), pl.lit(f"fundamentals:{source}").alias("source"))


def _news(facts: pl.DataFrame, tables: Appendable) -> pl.DataFrame:
    """Facts of periods that are not stored yet: the first of repeats stands."""
    if not tables.exists("fundamentals"):
        return facts
    return facts.join(tables.scan("fundamentals").select(KEY).collect(), on=KEY, how="anti", maintain_order="left")


def snapshots(rows: pl.DataFrame, *, ratios: Collection[str] | None = None, revenue: str = "revenues") -> pl.DataFrame:
    """Ratios that stand still over three filings or more of a symbol while its revenue changes.

    Such a ratio is today's number written into every past report.

    Parameters
    ----------
    rows : ``symbol``, ``period_end``, `revenue` and the ratios. ratios : their columns; None takes those whose names
        say so.

    Returns
    -------
    ``column``, ``symbols`` (with at least three filings and changing revenue), ``still`` (of these, where it stands
    still), ``examples``.
    """
    schema = pl.Schema(
        {"column": pl.String(), "symbols": pl.Int64(), "still": pl.Int64(), "examples": pl.List(pl.String())}
    )
    names = list(ratios) if ratios is not None else [name for name in rows.columns if RATIO.search(name)]
    if not names or revenue not in rows.columns:
        return pl.DataFrame(schema=schema)
    parts = []
    for name in names:
        told = rows.drop_nulls([name, revenue]).filter(pl.col(name) != 0).sort("symbol", "period_end")
        of = told.group_by("symbol").agg(
            pl.len().alias("filings"),
            pl.col(name).n_unique().alias("values"),
            pl.col(revenue).n_unique().alias("revenues"),
        )
        able = of.filter((pl.col("filings") >= SNAPSHOT_FILINGS) & (pl.col("revenues") >= SNAPSHOT_FILINGS))
        still = able.filter(pl.col("values") == 1).sort("symbol")
        parts.append((name, able.height, still.height, still["symbol"].head(3).to_list()))
    return pl.DataFrame(parts, schema=schema, orient="row")


def refuse_snapshots(rows: pl.DataFrame, *, path: str = "the file", ratios: Collection[str] | None = None) -> None:
    """Refuse reports in which a ratio is a snapshot for a fifth of the symbols or more."""
    found = snapshots(rows, ratios=ratios).filter(
        (pl.col("still") > 0) & (pl.col("still") >= SNAPSHOT_SHARE * pl.col("symbols"))
    )
    if found.height:
        worst = found.sort("still", descending=True).row(0, named=True)
        raise BadInput(
            f"`{worst['column']}` in {path} is no point-in-time number: it stands still over "
            f"{SNAPSHOT_FILINGS} filings or more while the revenue changes, in {worst['still']} of "
            f"{worst['symbols']} symbols ({', '.join(worst['examples'])}). "
            "Leave the column out, or get it as it was filed."
        )
