"""Cells of trade sheets as values: control characters, money as people write it, and the moments of two clocks."""

from __future__ import annotations

import polars as pl

from openbell.core.errors import BadInput
from openbell.core.time import MOMENT

EXCHANGE_ZONE = "America/New_York"
#: Everything that prints nothing, and the marks that editors put into files.
CONTROL = r"[\x00-\x1F\x7F-\x9F\u{200B}-\u{200F}\u{2060}\u{FEFF}\u{FFFD}]"
_BLANK = r"[\s\u{00A0}]+"
#: How sheets write that there is no number.
NOTHING = ("", "-", "--", "null", "none", "nan", "n/a", "na", "#n/a", "#value!", "#div/0!")
#: One certain date: the year has four digits, and with the year last the month stands first.
_DATED = r"^(?:\d{4}[-/]\d{1,2}[-/]\d{1,2}|\d{1,2}[-/]\d{1,2}[-/]\d{4})[ T]"
_DATES = ("%m-%d-%Y", "%Y-%m-%d")
_TIMES = ("%H:%M", "%H:%M:%S%.f", "%I:%M %p", "%I:%M:%S %p")


#: A text that cleaning would change.
_DIRTY = rf"^$|^\s|\s$|\s\s|[\t\u{{00A0}}]|{CONTROL}"


def cleaned(cells: pl.Series) -> pl.Series:
    """Texts without control characters, blanks joined to one; null where nothing is left."""
    if not cells.str.contains(_DIRTY).any():
        return cells
    clean = cells.str.replace_all(CONTROL, "").str.replace_all(_BLANK, " ").str.strip_chars()
    return clean.set(clean == "", None)


def number(cells: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Numbers as sheets write them: ``$1,250.50``, ``(9.37)`` for -9.37, ``.63``, blank for none.

    Returns
    -------
    The values as Float64, null where the cell says none, and a mask of the cells that say something else. Infinity is
    no number; ``true`` and ``false`` are 1 and 0.
    """
    plain = cells.cast(pl.Float64, strict=False).fill_nan(None)
    plain = plain.set(plain.is_infinite().fill_null(False), None)
    if plain.null_count() == cells.null_count():
        return plain, pl.repeat(False, len(cells), eager=True)
    odd = cells.filter(plain.is_null() & cells.is_not_null()).unique(maintain_order=True)
    said = _said(odd)
    values = cells.replace_strict(odd, said, default=None, return_dtype=pl.Float64)
    value = pl.select(pl.coalesce(plain, values)).to_series().alias(cells.name)
    unread = odd.filter(said.is_null() & ~_nothing(odd))
    return value, cells.is_in(unread.implode()).fill_null(False)


def _nothing(odd: pl.Series) -> pl.Series:
    return odd.str.replace_all(CONTROL, "").str.strip_chars().str.to_lowercase().is_in(list(NOTHING))


def _said(odd: pl.Series) -> pl.Series:
    words = odd.str.replace_all(CONTROL, "").str.replace_all(r"[\s\u{00A0}$]", "").str.to_lowercase()
    words = words.replace(["true", "false"], ["1", "0"])
    words = words.str.replace(r"^\((.*)\)$", "-${1}").str.replace("−", "-", literal=True)
    # Commas only where they part thousands: `1,5` is no certain number.
    grouped = pl.lit(words).str.contains(r"^[+-]?\d{1,3}(,\d{3})+(\.\d*)?$")
    told = pl.when(grouped).then(pl.lit(words).str.replace_all(",", "", literal=True)).otherwise(pl.lit(words))
    values = pl.select(told.cast(pl.Float64, strict=False).fill_nan(None)).to_series()
    return values.set(values.is_infinite().fill_null(False), None)


def moments(rows: pl.DataFrame, zone: str) -> pl.DataFrame:
    """`rows` with ``exact_at``, the moment that ``when``, or ``day`` beside ``hour``, tells on the clock of `zone`.

    The three are cleaned texts. A row whose date is blank has the day of its folder; one whose time is blank, or
    certain in no form, has null. A time with an offset keeps its own. A time that the clock skips or shows twice at a
    change is null.
    """
    told = pl.coalesce(
        "when",
        pl.concat_str(pl.coalesce("day", pl.col("folder_day").cast(pl.String)), "hour", separator=" "),
    )
    rows = rows.with_columns(told.alias("told_at"))
    words = rows["told_at"].drop_nulls().unique(maintain_order=True)
    return rows.join(parsed_moments(words, zone), on="told_at", how="left", maintain_order="left")


def parsed_moments(words: pl.Series, zone: str) -> pl.DataFrame:
    """Columns ``told_at`` and ``exact_at`` (UTC) of each distinct text in `words`."""
    if zone not in ("UTC", EXCHANGE_ZONE):
        raise BadInput(f"Sheets are written on the clock of UTC or {EXCHANGE_ZONE}; was {zone}.")
    plain = words.str.replace_all("/", "-", literal=True).str.replace(r"(\d)T(\d)", "${1} ${2}")
    plain = plain.set(~words.str.contains(_DATED).fill_null(False), None)
    naive = pl.coalesce(
        pl.lit(plain).str.to_datetime(f"{date} {time}", strict=False, time_unit="us")
        for date in _DATES
        for time in _TIMES
    )
    offset = (
        pl.lit(plain)
        .str.replace(r"Z$", "+00:00")
        .str.to_datetime("%Y-%m-%d %H:%M:%S%.f%:z", strict=False, time_unit="us")
    )
    local = naive.dt.replace_time_zone(zone, ambiguous="null", non_existent="null").dt.convert_time_zone("UTC")
    return pl.select(words.alias("told_at"), pl.coalesce(offset.cast(MOMENT), local).cast(MOMENT).alias("exact_at"))
