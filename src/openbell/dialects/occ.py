"""OCC option symbols: root, expiry, right and strike in 21 characters, or the same without the blanks.

``SPXW  230914C04500000`` and ``SPXW230914C04500000`` both say: class SPXW, expiring 2023-09-14, call, 4,500 points. The
last 15 characters have a fixed shape, so a root that ends in digits (``AAPL1``, adjusted after a corporate action) is
told from the date without doubt. Reference: The Options Clearing Corporation, Options Symbology Initiative, 2010.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

import polars as pl

from openbell.core.errors import BadInput
from openbell.core.types import Right

ROOT_CHARACTERS = 6
#: A root is letters; digits at its end mark contracts that a corporate action adjusted, or minis.
ROOT = r"[A-Z]{1,6}[0-9]{0,2}"
#: Year, month, day, C or P, strike in thousandths.
TERMS = r"([0-9]{2})([0-9]{2})([0-9]{2})([CP])([0-9]{8})"
PATTERN = rf"^({ROOT}) *{TERMS}$"
_SYMBOL = re.compile(PATTERN)
_LETTER = {Right.CALL: "C", Right.PUT: "P"}
_RIGHT = {"C": Right.CALL, "P": Right.PUT}
#: The symbology began in 2010; its two digits of a year are of this century.
CENTURY = 2000
HIGHEST_STRIKE = 99_999.999


@dataclass(frozen=True, slots=True)
class OccSymbol:
    """One listed contract. `root` is its class, which names the underlying unless it is adjusted or an index's."""

    root: str
    expiry: dt.date
    right: Right
    strike: float

    def __post_init__(self) -> None:
        if not re.fullmatch(ROOT, self.root) or len(self.root) > ROOT_CHARACTERS:
            raise BadInput(
                f"`{self.root}` cannot be the root of an OCC symbol: write 1 to 6 capitals, digits at the end only, "
                "such as SPXW or AAPL1; a class share goes without its dot, BRKB."
            )
        if not CENTURY <= self.expiry.year < CENTURY + 100:
            raise BadInput(f"An OCC symbol writes years from 2000 to 2099; the expiry was {self.expiry}.")
        thousandths = self.strike * 1000
        if not 0 < self.strike <= HIGHEST_STRIKE or abs(thousandths - round(thousandths)) > 1e-6:
            raise BadInput(
                f"An OCC symbol writes strikes from 0.001 to {HIGHEST_STRIKE:,} in thousandths of a point; the strike "
                f"was {self.strike!r}."
            )
        object.__setattr__(self, "strike", round(thousandths) / 1000)

    @property
    def padded(self) -> str:
        """The 21 characters: the root filled up with blanks to 6."""
        return f"{self.root:<{ROOT_CHARACTERS}}{self._terms}"

    @property
    def compact(self) -> str:
        """The same without blanks, as most vendors write it."""
        return f"{self.root}{self._terms}"

    @property
    def adjusted(self) -> bool:
        """Whether the root ends in a digit: the contract delivers something else than 100 shares."""
        return self.root[-1].isdigit()

    @property
    def _terms(self) -> str:
        return f"{self.expiry:%y%m%d}{_LETTER[self.right]}{round(self.strike * 1000):08d}"


def occ_symbol(text: str) -> OccSymbol:
    """The contract that `text` names, padded or compact; anything else is refused with what is wrong with it."""
    match = _SYMBOL.fullmatch(text.strip())
    if match is None:
        raise BadInput(f"`{text}` is no OCC symbol: {_fault(text.strip())} Write it like SPXW230914C04500000.")
    root, year, month, day, letter, thousandths = match.groups()
    try:
        expiry = dt.date(CENTURY + int(year), int(month), int(day))
    except ValueError:
        raise BadInput(f"`{text}` is no OCC symbol: 20{year}-{month}-{day} is not a day.") from None
    return OccSymbol(root, expiry, _RIGHT[letter], int(thousandths) / 1000)


def _fault(text: str) -> str:
    """What keeps `text` from being a symbol, in a sentence."""
    if len(text) < 16:
        return f"it has {len(text)} characters, and a root with date, right and strike has 16 to 21."
    root, terms = text[:-15].rstrip(), text[-15:]
    if not re.fullmatch(TERMS, terms):
        return f"its last 15 characters, `{terms}`, are not yymmdd, C or P, and 8 digits of a strike."
    if re.fullmatch(ROOT, root.upper()) and root != root.upper():
        return f"the root `{root}` must be in capitals."
    return f"`{root}` is no root of 1 to 6 capitals with digits at the end only."


def occ_columns(symbols: pl.Series) -> pl.DataFrame:
    """Many symbols at once, in their order; a text that is no symbol gives a row of nulls.

    Returns
    -------
    ``root`` (String), ``expiry`` (Date), ``right`` (CALL or PUT), ``strike`` (Float64, points).
    """
    parts = symbols.cast(pl.String).str.strip_chars().str.extract_groups(PATTERN).struct.unnest()
    root, year, month, day, letter, thousandths = parts.columns
    frame = parts.select(
        pl.col(root).alias("root"),
        pl.format("20{}-{}-{}", year, month, day).str.to_date("%Y-%m-%d", strict=False).alias("expiry"),
        pl.col(letter).replace_strict({"C": "CALL", "P": "PUT"}, default=None, return_dtype=pl.String).alias("right"),
        # Read with its point: polars divides by 1000 as a product with 0.001, which is another number at times.
        pl.concat_str(pl.col(thousandths).str.slice(0, 5), pl.lit("."), pl.col(thousandths).str.slice(5))
        .cast(pl.Float64)
        .alias("strike"),
    )
    whole = pl.all_horizontal(pl.all().is_not_null()) & (pl.col("strike") > 0) & (pl.col("root").str.len_chars() <= 6)
    return frame.select(pl.when(whole).then(pl.col(name)).otherwise(None).alias(name) for name in frame.columns)


def occ_expression(root: str = "root", expiry: str = "expiry", right: str = "right", strike: str = "strike") -> pl.Expr:
    """The compact symbols of a frame's contracts, from its columns of these names."""
    return pl.concat_str(
        pl.col(root),
        pl.col(expiry).dt.strftime("%y%m%d"),
        pl.col(right).str.slice(0, 1),
        (pl.col(strike) * 1000).round(0).cast(pl.Int64).cast(pl.String).str.zfill(8),
    )
