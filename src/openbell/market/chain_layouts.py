"""Files of option chains: how they are opened, what their columns are called, and which layout one is."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from openbell.core.errors import BadInput, DataMissing, nearest
from openbell.core.time import Sessions
from openbell.market.layouts import plain

ENDINGS = ("csv", "txt", "parquet", "dat")
#: What marks each layout among column names in lower case without brackets: all of one of the sets must be there.
MARKS: Mapping[str, tuple[frozenset[str], ...]] = {
    "cboe": (frozenset({"calls", "puts", "bid", "ask"}),),
    "optionsdx": (frozenset({"quote_date", "expire_date", "strike", "c_bid", "c_ask", "p_bid", "p_ask"}),),
    "orats": (
        frozenset({"strike", "cbidpx", "caskpx", "pbidpx", "paskpx"}),
        frozenset({"strike", "callbidprice", "callaskprice", "putbidprice", "putaskprice"}),
    ),
    "yahoo": (
        frozenset({"contractsymbol", "strike", "bid", "ask", "lasttradedate", "impliedvolatility"}),
        frozenset({"contract_symbol", "strike", "bid", "ask", "last_trade_date", "implied_volatility"}),
    ),
}
FORMATS = (*MARKS, "map")


@dataclass(frozen=True)
class Told:
    """What the caller says of a file, beside what stands in it."""

    underlying: str | None = None
    session: dt.date | None = None


def content(place: Path) -> bytes:
    """The bytes of the file, unpacked where it is a gzip."""
    if not place.exists():
        beside = [each.name for each in place.parent.iterdir()] if place.parent.is_dir() else []
        raise DataMissing(f"There is no file `{place}`. {nearest(place.name, beside)}")
    if place.is_dir():
        raise BadInput(f"`{place}` is a folder; name one file of an option chain in it.")
    read = place.read_bytes()
    try:
        return gzip.decompress(read) if read[:2] == b"\x1f\x8b" else read
    except (OSError, EOFError) as broken:
        raise BadInput(f"`{place.name}` cannot be unpacked: {broken}. Download it again.") from broken


def text(read: bytes) -> str:
    """`read` as text: UTF-8 or UTF-16 with their marks, else Windows' western alphabet."""
    if read[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return read.decode("utf-16")
    try:
        return read.decode("utf-8-sig")
    except UnicodeDecodeError:
        return read.decode("cp1252", errors="replace")


def separator(line: str) -> str:
    """What stands between the cells of `line`: a comma, a semicolon or a tab."""
    return max(",;\t", key=line.count)


def cells(line: str, mark: str) -> list[str]:
    """The cells of one line."""
    return [each.strip() for each in next(csv.reader([line], delimiter=mark))]


def table(place: Path, read: bytes) -> pl.DataFrame:
    """The rows of a Parquet file, or of a text file as texts; column names as they are."""
    ending = place.name.lower().removesuffix(".gz").rpartition(".")[2]
    if ending not in ENDINGS:
        raise BadInput(f"`{place.name}` ends in `{ending}`; files of chains end in .csv, .txt (.gz) or .parquet.")
    try:
        if ending == "parquet":
            return pl.read_parquet(io.BytesIO(read))
        said = text(read)
        first = next((line for line in said.splitlines() if line.strip()), "")
        return pl.read_csv(said.encode(), separator=separator(first), infer_schema=False)
    except pl.exceptions.NoDataError as nothing:
        raise BadInput(f"The file `{place.name}` is empty; there is nothing to import.") from nothing
    except (pl.exceptions.PolarsError, OSError) as unreadable:
        why = str(unreadable).strip().partition("\n")[0]
        raise BadInput(
            f"The file `{place.name}` cannot be read as a table whose first line names its columns: {why}."
        ) from unreadable


def layout_of(names: Sequence[str], place: str) -> str:
    """The layout whose marks all stand among the column `names`; none is refused with the nearest."""
    words = {plain(name) for name in names}
    fitting = [layout for layout, marks in MARKS.items() if any(mark <= words for mark in marks)]
    if fitting:
        return fitting[0]
    share = {
        layout: max((len(mark & words) / len(mark), sorted(mark - words)) for mark in marks)
        for layout, marks in MARKS.items()
    }
    near = max(share, key=lambda layout: share[layout][0])
    lacking = ", ".join(f"`{name}`" for name in share[near][1])
    raise BadInput(
        f"`{place}` fits none of the layouts {', '.join(MARKS)}. The nearest is {near}, for which it lacks {lacking}. "
        "Say what its columns are with `--format map --map expiry=COLUMN,strike=COLUMN,right=COLUMN,bid=COLUMN,…`."
    )


def numbers(series: pl.Series, place: str) -> pl.Series:
    """`series` as Float64: thousands commas, blanks and percent signs gone; what is no number is refused with its row.

    Nothing (``""``, ``nan``, ``-``, ``--``, ``n/a``) is null.
    """
    if series.dtype.is_numeric() or series.dtype == pl.Boolean:
        return series.cast(pl.Float64).fill_nan(None)
    said = series.cast(pl.String).str.strip_chars().str.to_lowercase()
    nothing = said.is_null() | said.is_in(pl.Series(["", "nan", "null", "none", "n/a", "na", "-", "--"]).implode())
    # A comma alone before one or two, or more than three digits is a decimal one: 4505,1 and 0,2531.
    decimal = r"^([+-]?\d*),(\d{1,2}|\d{4,})$"
    bare = said.str.replace(decimal, "$1.$2").str.replace_all(r"[,'\u00a0\u202f ]", "")
    read = bare.cast(pl.Float64, strict=False).fill_nan(None)
    wrong = read.is_null() & ~nothing
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise BadInput(f"Row {row + 1} of `{series.name}` in {place} is `{series[row]}`, which is no number.")
    return read


def number_in(said: str) -> float | None:
    """The number behind a label such as ``Last: 4,505.10``; None where there is none."""
    found = re.search(r"[+-]?\d[\d,.'\u00a0\u202f ]*", said)
    if found is None:
        return None
    bare = found.group().strip()
    if re.fullmatch(r"[+-]?\d{1,3}(\.\d{3})*,\d+", bare) and not re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+", bare):
        bare = bare.replace(".", "").replace(",", ".")
    try:
        return float(re.sub(r"[,'\u00a0\u202f ]", "", bare))
    except ValueError:
        return None


def days(series: pl.Series, place: str) -> pl.Series:
    """`series` as dates: ISO, ``20230914``, or month first with slashes, as American vendors write them."""
    if series.dtype == pl.Date:
        return series
    if isinstance(series.dtype, pl.Datetime):
        return series.dt.date()
    said = series.cast(pl.String).str.strip_chars().str.replace(r"[T ]\d{1,2}:.*$", "")
    for form in ("%Y-%m-%d", "%Y%m%d", "%Y/%m/%d", "%m/%d/%Y", "%m/%d/%y"):
        read = said.str.to_date(form, strict=False)
        if read.null_count() == said.null_count():
            return read
    wrong = said.filter(said.str.to_date("%Y-%m-%d", strict=False).is_null() & said.is_not_null())
    raise BadInput(
        f"The column `{series.name}` of {place} holds `{wrong.first()!s}`, which is not one certain date. "
        "Write dates as YYYY-MM-DD."
    )


def day_in_name(place: Path) -> dt.date | None:
    """The one day that a file's name tells, as 2023-09-14 or 20230914."""
    found = set()
    for each in re.findall(r"(?<!\d)(20\d{2})([-_]?)(\d{2})\2(\d{2})(?!\d)", place.name):
        try:
            found.add(dt.date(int(each[0]), int(each[2]), int(each[3])))
        except ValueError:
            continue
    return next(iter(found)) if len(found) == 1 else None


def symbol_in_name(place: Path) -> str | None:
    """The symbol a file's name begins with, up to a digit, `_`, `-`, a blank or the ending; None for a word."""
    found = re.match(r"\^?([A-Za-z]{1,5})(?=[_\-. ]|$)", place.name)
    return found.group(1).upper() if found else None


def session_told(told: Told, place: Path, sessions: Sessions, why: str) -> dt.date:
    """The session that the caller or the file's name tells, where the file itself tells none (`why`)."""
    if told.session is not None:
        sessions.index(told.session)
        return told.session
    named = day_in_name(place)
    if named is None:
        raise BadInput(f"{why} Name the session whose close its quotes show with `--session DATE`.")
    if named not in sessions:
        sessions.index(named)
    return named


def underlying_told(told: Told, place: Path) -> str:
    """The underlying that the caller or the file's name tells."""
    symbol = told.underlying.upper() if told.underlying else symbol_in_name(place)
    if symbol is None:
        raise BadInput(
            f"`{place.name}` does not say of which underlying its options are, and its name does not begin with a "
            "symbol. Name it with `--underlying SPX`."
        )
    return symbol
