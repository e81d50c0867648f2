"""Files of a product's minute bars: the clock they are read on, when it is doubted, and what contracts are called."""

from __future__ import annotations

import dataclasses

import polars as pl

from openbell.core.errors import BadInput
from openbell.market.contract_months import contract_symbol, of_contract
from openbell.market.products import CODES, Product, in_hours

#: Share of bars outside a product's hours from which on its own clock is not believed of a file that names none.
OTHER_CLOCK = 0.025
#: Bars below which that share says nothing.
OTHER_CLOCK_BARS = 200


def clock_of(
    stamps: pl.Series, timezone: str | None, product: Product | None, *, path: str
) -> tuple[str | None, list[str]]:
    """The zone of times without an offset: the named one, or the product's own, which is then said."""
    if timezone is not None or product is None:
        return timezone, []
    if stamps.dtype.is_numeric() or (isinstance(stamps.dtype, pl.Datetime) and stamps.dtype.time_zone is not None):
        return None, []
    if stamps.dtype == pl.String and stamps.drop_nulls().head(1).str.contains(r"(?:[Zz]|[+-]\d\d:?\d\d)\s*$").any():
        return None, []
    return product.time_zone, [
        f"The times of {path} were read on the clock of {product.code}, {product.time_zone}; name another one with "
        "`--timezone`."
    ]


def refuse_other_clock(at: pl.Series, minutes: int, product: Product, zone: str | None, *, path: str) -> None:
    """Refuse bars read on a clock that nobody named, if too many would lie where `product` never trades."""
    if zone is None or at.len() < OTHER_CLOCK_BARS:
        return
    began = pl.col("at") - pl.duration(minutes=minutes)
    # Bars in a pause tell nothing: grains traded through theirs until 2013.
    whole = dataclasses.replace(product, pause=None)
    outside = pl.DataFrame({"at": at}).select((~in_hours(began, whole)).sum()).item()
    if outside > OTHER_CLOCK * at.len():
        raise BadInput(
            f"{outside:,} of {at.len():,} bars of {path} would lie outside the hours of {product.code} if its times "
            f"were those of {zone}: another clock was read. Name it with `--timezone`, such as UTC or America/Chicago."
        )


def contract_symbols(frame: pl.DataFrame, product: Product | None, *, path: str) -> pl.Series | None:
    """A symbol per delivery month, such as ``ES_201312``, from the column ``contract`` of a future's file."""
    if product is None or product.kind != "FUTURE" or "contract" not in frame.columns:
        return None
    told = frame["contract"].cast(pl.String).str.strip_chars()
    if told.null_count():
        row = int(told.is_null().arg_max() or 0)
        raise BadInput(f"Row {row + 1} of {path} has no `contract`. Fill the column, or name one `--symbol` for all.")
    names = {each: contract_symbol(product.code, each) for each in told.unique()}
    return told.replace_strict(names, return_dtype=pl.String).alias("symbol")


def said_of(symbols: pl.Series, product: Product | None) -> list[str]:
    """Sentences on the symbols of a file: contracts that want joining, or a product that nobody named."""
    several = symbols.unique(maintain_order=True)
    if product is not None:
        contracts = sorted(each for each in several if of_contract(each))
        if not contracts:
            return []
        return [
            f"The bars are of {len(contracts)} contracts, {contracts[0]} to {contracts[-1]}. Join them into one series "
            f"with `openbell data continuous {product.code}`."
        ]
    known = CODES.get(str(several[0]).upper()) if len(several) == 1 else None
    if known is None or known.kind == "STOCK":
        return []
    return [
        f"{several[0]} was imported with the sessions of the exchange's calendar. If it is {known.name}, import it "
        f"with `--product {known.code}`: its nights and Sundays then belong to their sessions."
    ]
