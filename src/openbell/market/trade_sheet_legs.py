"""Legs out of the text of a trade, for half a million texts: the grammar decides, once for every shape of text.

The grammar of `dialects.thinkorswim` reads some thousand texts a second. Which leg is long does not depend on the
level of the strikes, only on their order; so texts of the common form are parted by one expression, and the grammar
reads one example of each shape (side, strategy, order of the strikes, rights, sign of the price). Every other text is
read by the grammar itself, once.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Mapping
from typing import Any

import polars as pl

from openbell.core.ticket import Reading, Ticket
from openbell.core.trade_rows import SHEET_STRATEGIES

#: ``SELL -1 Iron Condor SPX 100 (Weeklys) 22 May 25 5905/5910/5780/5775 CALL/PUT @0.63 LMT``
_COMMON = (
    r"(?i)^\s*(?P<verb>BUY|SELL|BOT|SOLD)\s+(?P<quantity>[+-]?)[1-9]\d*\s+"
    r"(?P<word>BUTTERFLY|IRON\s+CONDOR|VERTICAL)\s+(?P<underlying>[A-Z]{1,6})\s+(?:100\s+)?(?:\(Weeklys\)\s+)?"
    r"(?:(?P<day>\d{1,2})\s+(?P<month>[A-Z]{3})\s+(?P<year>\d{2})\s+)?"
    r"(?P<k1>\d[\d.]*)/(?P<k2>\d[\d.]*)(?:/(?P<k3>\d[\d.]*))?(?:/(?P<k4>\d[\d.]*))?\s+(?P<right>CALL/PUT|CALL|PUT)\s+"
    r"@\s?(?P<minus>-?)(?P<price>\d*\.?\d+)(?:\s+LMT)?\s*$"
)
_LEGS = range(1, 5)
_COLUMNS = {
    **{f"strike{leg}": pl.Float64() for leg in _LEGS},
    **{f"direction{leg}": pl.Int64() for leg in _LEGS},
    **{f"type{leg}": pl.String() for leg in _LEGS},
}
_TOLD = {"underlying": pl.String(), "text_expiry": pl.Date(), "why": pl.String()}
_SHAPE = ["verb", "quantity", "word", "order", "right", "minus", "priced"]
_LEAST, _STEP = 100, 5


def legs_of_texts(rows: pl.DataFrame) -> pl.DataFrame:
    """What each distinct text says.

    Parameters
    ----------
    rows : ``trade_description`` and ``session``; a text is read as it was meant on its session.

    Returns
    -------
    ``trade_description``, ``session``, ``strike1``…``type4`` in the order of the order's legs, ``underlying``,
    ``text_expiry`` (null where the text tells none) and ``why``, the sentence of a text that gives no legs.
    """
    texts = rows.select("trade_description", "session").drop_nulls("trade_description").unique(maintain_order=True)
    parted = texts.with_columns(pl.col("trade_description").str.extract_groups(_COMMON).alias("parts")).unnest("parts")
    common = _common(parted.filter(pl.col("verb").is_not_null()))
    done = common.filter(pl.col("why").is_null())
    rest = texts.join(done, on=["trade_description", "session"], how="anti", maintain_order="left")
    return pl.concat([done, _grammar(rest)])


def _common(parted: pl.DataFrame) -> pl.DataFrame:
    """Texts of the common form, by the reading of one example of their shape; what that refuses has a ``why``."""
    strikes = [pl.col(f"k{leg}") for leg in _LEGS]
    shaped = parted.with_columns(
        pl.col("verb").str.to_uppercase(),
        pl.col("right").str.to_uppercase(),
        pl.col("word").str.to_uppercase().str.replace_all(r"\s+", " "),
        pl.col("underlying").str.to_uppercase(),
        *(each.cast(pl.Float64, strict=False) for each in strikes),
        pl.col("price").str.contains("[1-9]").alias("priced"),
        _expiry(),
    ).with_columns(_order(strikes))
    shapes = shaped.group_by(_SHAPE, maintain_order=True).agg(pl.concat_list(strikes).first().alias("strikes"))
    read = pl.DataFrame([_shape(row) for row in shapes.iter_rows(named=True)], schema=_SHAPE_SCHEMA, orient="row")
    told = pl.concat([shapes.drop("strikes"), read], how="horizontal")
    joined = shaped.join(told, on=_SHAPE, how="left", maintain_order="left")
    dated = pl.col("day").is_null() | pl.col("text_expiry").is_not_null()
    return joined.select(
        "trade_description",
        "session",
        *(_at_place(leg, strikes) for leg in _LEGS),
        *(f"direction{leg}" for leg in _LEGS),
        *(f"type{leg}" for leg in _LEGS),
        "underlying",
        "text_expiry",
        pl.when(dated).then("why").otherwise(pl.lit("its date is none")).alias("why"),
    )


_SHAPE_SCHEMA = {
    **{f"place{leg}": pl.Int64() for leg in _LEGS},
    **{name: kind for name, kind in _COLUMNS.items() if not name.startswith("strike")},
    "why": pl.String(),
}


def _order(strikes: list[pl.Expr]) -> pl.Expr:
    """The order of the written strikes as one number: each pair is less, equal or greater, or one is not written."""
    pairs = itertools.combinations(strikes, 2)
    signs = [(left - right).sign().fill_null(2.0).cast(pl.Int64) + 1 for left, right in pairs]
    return pl.sum_horizontal(sign * 4**power for power, sign in enumerate(signs)).alias("order")


def _at_place(leg: int, strikes: list[pl.Expr]) -> pl.Expr:
    place = pl.col(f"place{leg}")
    return pl.coalesce(pl.when(place == at).then(each) for at, each in enumerate(strikes)).alias(f"strike{leg}")


def _expiry() -> pl.Expr:
    day = pl.concat_str(pl.col("day").str.zfill(2), pl.col("month").str.to_titlecase(), "year", separator=" ")
    return day.str.to_date("%d %b %y", strict=False).alias("text_expiry")


def _shape(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Which leg is what in a shape: the place of its strike in the text, its units and right; or why there are none."""
    written = [strike for strike in row["strikes"] if strike is not None]
    levels = sorted(set(written))
    example = [_LEAST + _STEP * levels.index(strike) for strike in written]
    price = f"{row['minus']}{'.05' if row['priced'] else '0'}"
    start = f"{row['verb']} {row['quantity']}1 {row['word']} SPX 100"
    ticket = _one(_read(f"{start} {'/'.join(map(str, example))} {row['right']} @{price} LMT", None))
    if isinstance(ticket, str) or len(ticket.legs) > len(_LEGS):
        return (*(None for _ in range(12)), ticket if isinstance(ticket, str) else "it has more than four legs")
    places = [example.index(round(leg.strike)) for leg in ticket.legs]
    return (*_four(places), *_units_and_rights(ticket), None)


def _four(values: list[Any]) -> list[Any]:
    return values + [None] * (len(_LEGS) - len(values))


def _grammar(texts: pl.DataFrame) -> pl.DataFrame:
    """Each text by the grammar."""
    told = [_told(text, session) for text, session in texts.iter_rows()]
    return pl.concat([texts, pl.DataFrame(told, schema={**_COLUMNS, **_TOLD}, orient="row")], how="horizontal")


def _told(text: str, session: dt.date) -> tuple[Any, ...]:
    # Noon in New York or an hour beside it: the day alone matters for what is left out of a date.
    ticket = _one(_read(text, dt.datetime(session.year, session.month, session.day, 17, tzinfo=dt.UTC)))
    why = ticket if isinstance(ticket, str) else _unfit(ticket)
    if isinstance(ticket, str) or why:
        return (*(None for _ in range(12)), None, None, why)
    expiry = ticket.expiries[0] if ticket.dated else None
    strikes = _four([leg.strike for leg in ticket.legs])
    return (*strikes, *_units_and_rights(ticket), ticket.underlying, expiry, None)


def _units_and_rights(ticket: Ticket) -> tuple[Any, ...]:
    legs = ticket.legs
    return (*_four([leg.ratio for leg in legs]), *_four([leg.right.value for leg in legs]))


def _unfit(ticket: Ticket) -> str | None:
    if len(ticket.legs) > len(_LEGS):
        return "it has more than four legs"
    return "its legs expire on several days" if len(ticket.expiries) > 1 else None


def _read(text: str, at: dt.datetime | None) -> Reading:
    # Imported here: the grammar is built when it is first needed.
    from openbell.dialects.thinkorswim import read

    return read(text, at=at)


def _one(reading: Reading) -> Ticket | str:
    """The one order of a text, or why there is not one."""
    if reading.refusals:
        return reading.refusals[0].why
    if len(reading.tickets) != 1:
        return "it holds several orders" if reading.tickets else "it holds no order"
    return reading.tickets[0]


def with_legs_of_texts(rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` where legs and expiry are filled from the text where the sheet itself gave no strike.

    Adds ``legs_from``: ``sheet``, ``text``, or null; ``unread``: why a text gave no legs; ``text_expiry``. A text of
    another symbol or with another number of legs than its strategy has is not believed.
    """
    told = legs_of_texts(rows)
    names = {name: f"{name}_told" for name in _COLUMNS}
    joined = rows.join(
        told.rename({**names, "underlying": "told_symbol"}),
        on=["trade_description", "session"],
        how="left",
        maintain_order="left",
    ).with_columns(_disbelief().alias("why"))
    empty = pl.all_horizontal(pl.col(f"strike{leg}").is_null() for leg in _LEGS)
    fill = empty & pl.col("why").is_null() & pl.col("strike1_told").is_not_null()
    came = pl.when(~empty).then(pl.lit("sheet")).when(fill).then(pl.lit("text")).alias("legs_from")
    filled = [pl.when(fill).then(pl.col(theirs)).otherwise(ours).alias(ours) for ours, theirs in names.items()]
    believed = pl.when(pl.col("why").is_null()).then("text_expiry").alias("text_expiry")
    return joined.with_columns(came, *filled, believed).drop(*names.values(), "told_symbol")


def _disbelief() -> pl.Expr:
    legs = pl.sum_horizontal(pl.col(f"strike{leg}_told").is_not_null().cast(pl.Int64) for leg in _LEGS)
    wanted = pl.col("strategy").replace_strict(_LEG_COUNT, default=None, return_dtype=pl.Int64)
    root = pl.col("told_symbol").replace({"SPXW": "SPX", "NDXP": "NDX", "RUTW": "RUT"})
    return (
        pl.when(pl.col("trade_description").is_null())
        .then(pl.lit("the row has no text"))
        .when(pl.col("why").is_not_null())
        .then("why")
        .when(root != pl.col("symbol"))
        .then(pl.lit("its text is of another symbol"))
        .when(legs != wanted)
        .then(pl.lit("its text has not the legs of its strategy"))
        .when(pl.col("text_expiry") < pl.col("session"))
        .then(pl.lit("its text expires before the trade"))
    )


#: Legs of each strategy of the sheets. Sonar is written as an iron condor in the text.
_LEG_COUNT = dict(zip(SHEET_STRATEGIES, (3, 4, 2, 4), strict=True))
