"""CBOE's quote-table download, exactly as downloaded: lines of free text, then calls and puts side by side."""

from __future__ import annotations

import datetime as dt
import io
import re
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from openbell.core.declare import provider
from openbell.core.errors import BadInput
from openbell.core.time import Sessions
from openbell.dialects.occ import occ_columns
from openbell.market.calendars import sessions as calendar
from openbell.market.chain_batch import ChainBatch, chain_batch
from openbell.market.chain_layouts import Told, cells, content, number_in, numbers, separator, session_told, text
from openbell.market.chain_times import shown_session, stated_moment
from openbell.market.contracts import class_columns
from openbell.market.layouts import plain

#: What each column is called in the downloads since 2018.
COLUMNS = {
    "last_sale": "last", "last": "last", "bid": "bid", "ask": "ask", "volume": "volume", "vol": "volume",
    "iv": "vendor_iv", "delta": "vendor_delta", "open_interest": "open_interest", "open_int": "open_interest",
}  # fmt: skip
FIELDS = ("bid", "ask", "last", "volume", "open_interest", "vendor_iv", "vendor_delta")
#: Lines of free text before the table; more would be another kind of file.
PREAMBLE_LINES = 25


@dataclass(frozen=True)
class Preamble:
    """What stands above the table: the line of the spot and the line of the moment, each None where it is absent."""

    spot: float | None
    date: str | None
    header: int


def cboe_chain(
    path: str | Path, *, sessions: Sessions | None = None, underlying: str | None = None, session: dt.date | None = None
) -> ChainBatch:
    """Quotes out of one quote-table file of CBOE (.csv, .csv.gz), as downloaded.

    Parameters
    ----------
    sessions : the exchange's calendar; New York's by default.
    underlying : only for a root that does not tell it. session : what the quotes show, for a file without a date line.
        One that contradicts the date line is refused.

    Notes
    -----
    The date line is the moment of the download. While a session runs the quotes are of that moment; after its close,
    on weekends and holidays, they are those of the last close. A file without the line takes `session`, or the one day
    its name tells. Expiry, strike and right are read from the option's own symbol.
    """
    place = Path(path)
    open_days = sessions or calendar()
    lines = text(content(place)).splitlines()
    top = _preamble(lines, place)
    rows = _rows(lines, top.header, place)
    earliest = rows["expiry"].min()
    session_shown, quote_at, notes = _moment(top, Told(underlying, session), place, open_days, earliest)
    rows = rows.with_columns(
        pl.lit(session_shown).alias("session"), pl.lit(quote_at).alias("quote_at"), pl.lit(top.spot).alias("spot")
    )
    if underlying is not None:
        rows = rows.with_columns(pl.lit(_checked_underlying(underlying, rows, place)).alias("underlying"))
    if top.spot is None:
        notes.append(f"{place.name} has no line with the underlying's price; the forward is implied from its quotes.")
    return chain_batch(f"cboe:{place.name}", rows, open_days, tuple(notes))


declared = provider(name="cboe_chain", delay_minutes=15, fields=FIELDS)(cboe_chain)


def is_cboe(read: bytes) -> bool:
    """Whether `read` begins like a quote table: a line with calls and puts side by side among the first ones."""
    return _header_line(text(read[:100_000]).splitlines()) is not None


def _header_line(lines: list[str]) -> int | None:
    for at, line in enumerate(lines[:PREAMBLE_LINES]):
        words = {plain(each) for each in cells(line, separator(line))} if line.strip() else set()
        if {"calls", "puts", "bid", "ask"} <= words:
            return at
    return None


def _preamble(lines: list[str], place: Path) -> Preamble:
    header = _header_line(lines)
    if header is None:
        raise BadInput(
            f"`{place.name}` is no quote table of CBOE: none of its first {PREAMBLE_LINES} lines names calls and puts "
            "side by side. Leave --format away to let the layout be recognised."
        )
    spot, date = None, None
    for line in lines[:header]:
        parts = [each for each in cells(line, separator(line)) if each] if line.strip() else []
        for at, part in enumerate(parts):
            label, _, said = part.partition(":")
            if plain(label) in ("last", "last_sale", "price") and spot is None:
                # An unquoted thousands comma splits the number in two cells: `Last: 4` and `505.10`.
                rest = parts[at + 1] if at + 1 < len(parts) else ""
                split = re.fullmatch(r"\s*\d{1,3}", said) and re.fullmatch(r"\d{3}(\.\d+)?", rest)
                spot = number_in(said + rest if split else said)
            if date is None and (plain(label) == "date" or (re.search(r"\d{4}.*\d:\d\d", part) and "@" in part)):
                date = _date_text(part, parts[at + 1 :])
    if spot is not None and not spot > 0:
        spot = None
    return Preamble(spot, date, header)


def _date_text(part: str, following: list[str]) -> str:
    """The text of the date line; unquoted, its own commas have split it into cells up to the next label."""
    said = re.sub(r"^\s*[Dd]ate\s*:?\s*", "", part)
    for each in following:
        if re.match(r"\s*(bid|ask|size|vol|last|change)", each, re.IGNORECASE):
            break
        said += ", " + each
    return said.strip()


def _moment(
    top: Preamble, told: Told, place: Path, sessions: Sessions, earliest: object
) -> tuple[dt.date, dt.datetime, list[str]]:
    stated = None
    if top.date is not None:
        try:
            stated = stated_moment(top.date)
        except BadInput:
            if told.session is None:
                raise
    if stated is None or stated.moment is None:
        why = (
            f"`{place.name}` has no line with a date, and its rows tell only that it shows a session not after its "
            f"earliest expiry, {earliest}."
            if stated is None
            else f"`{place.name}` says `{top.date}` without a time zone; nobody can know which clock it was read from."
        )
        session = session_told(told, place, sessions, why)
        note = f"{place.name} tells no certain moment; its quotes are taken for those of the close of {session}."
        return session, sessions.close(session), [note]
    session, quote_at = shown_session(stated.moment, sessions)
    if told.session is not None and told.session != session:
        raise BadInput(
            f"`{place.name}` was downloaded at `{top.date}`, when the market of {session} was to be seen; `--session "
            f"{told.session}` contradicts it. Leave the option away."
        )
    notes = []
    if quote_at < stated.moment:
        notes.append(f"{place.name} was downloaded at `{top.date}`, so its quotes are those of the close of {session}.")
    return session, quote_at, notes


def _rows(lines: list[str], header: int, place: Path) -> pl.DataFrame:
    """One row per contract, out of the two halves of each line."""
    mark = separator(lines[header])
    names = [plain(each) for each in cells(lines[header], mark)]
    body = "\n".join(line for line in lines[header + 1 :] if line.strip(mark + " \t"))
    if not body:
        raise BadInput(f"`{place.name}` has no rows below its column names; there is nothing to import.")
    try:
        frame = pl.read_csv(
            io.StringIO(body), has_header=False, separator=mark, infer_schema=False, truncate_ragged_lines=True
        )
    except pl.exceptions.PolarsError as unreadable:
        raise BadInput(f"The rows of `{place.name}` cannot be read: {unreadable}") from unreadable
    calls, puts = names.index("calls"), names.index("puts")
    strike = names.index("strike") if "strike" in names else None
    if frame.width < puts + 3:
        raise BadInput(f"The rows of `{place.name}` have {frame.width} cells where its header names {len(names)}.")
    end = strike if strike is not None and strike > calls else puts
    halves = [_half(frame, names, calls, end, strike, place), _half(frame, names, puts, len(names), strike, place)]
    both = pl.concat([half.with_row_index("line") for half in halves])
    return both.sort("line", maintain_order=True).drop("line")


def _half(frame: pl.DataFrame, names: list[str], first: int, end: int, strike: int | None, place: Path) -> pl.DataFrame:
    """The contracts of one side: their symbols, and the numbers that stand behind them."""
    said = frame[frame.columns[first]]
    terms = occ_columns(said)
    unread = terms["root"].is_null()
    if unread.any():
        row = int(unread.arg_max() or 0)
        raise BadInput(
            f"Row {row + 1} below the column names of {place.name} has `{said[row]}` where the symbol of an option is "
            f"due ({int(unread.sum())} such rows). Nothing was imported."
        )
    _check_strikes(terms, frame, strike, place)
    found: dict[str, pl.Series] = {}
    for at in range(first + 1, min(end, frame.width)):
        ours = COLUMNS.get(names[at])
        if ours is not None and ours not in found:
            found[ours] = numbers(frame[frame.columns[at]].alias(f"{names[at]}"), place.name).alias(ours)
    return terms.with_columns(list(found.values()))


def _check_strikes(terms: pl.DataFrame, frame: pl.DataFrame, strike: int | None, place: Path) -> None:
    if strike is None:
        return
    stated = numbers(frame[frame.columns[strike]], place.name)
    wrong = ((terms["strike"] - stated).abs() > 1e-3).fill_null(False)
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise BadInput(
            f"Row {row + 1} below the column names of {place.name} has the strike {stated[row]} beside a symbol that "
            f"says {terms['strike'][row]}: its columns are shifted or changed. Nothing was imported."
        )


def _checked_underlying(underlying: str, rows: pl.DataFrame, place: Path) -> str:
    of_roots = class_columns(rows["root"])["underlying"].unique().sort().to_list()
    wanted = underlying.upper().lstrip("^")
    if wanted not in of_roots and set(of_roots) != set(rows["root"].unique()):
        raise BadInput(f"`{place.name}` holds options of {', '.join(of_roots)}, not of `{wanted}`.")
    return wanted


__all__ = ["cboe_chain", "declared", "is_cboe"]
