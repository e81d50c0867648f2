"""The products we know by a code of their own: what one contract is worth, and when it trades.

Hours, multipliers and ticks are those in force since 2020, and times are local to the product. Three clocks are told
of each: the whole session (Globex), the regular hours (the pit's, or the cash market's for stock indices), and when it
closes on days that the New York Stock Exchange closes early (``half_day``) or stays closed (``holiday``; None: no
session). Bars outside these hours are never refused for it: they belong to the session around them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

NEW_YORK, CHICAGO = "America/New_York", "America/Chicago"
DAY_MINUTES = 1_440


def _clock(text: str | None, days: int = 0) -> int | None:
    """Minutes from the midnight that the session's date begins with; `days` before it are negative."""
    if text is None:
        return None
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes) + days * DAY_MINUTES


@dataclass(frozen=True, slots=True)
class Product:
    """What is traded under a code.

    Attributes
    ----------
    code, name : ``ES``, ``E-mini S&P 500``. kind : FUTURE, SPOT or STOCK (which stands for funds and indices too).
    exchange : where it trades. currency : of its price times `multiplier`.
    multiplier : what a price change of 1 is worth for one contract, in `currency`. tick : least price change.
    calendar : of exchange_calendars, says which days are sessions. time_zone : of its clock.
    opens, closes, regular_opens, regular_closes : minutes from the local midnight that the session's date begins with;
        an open below 0 lies on the day before (ES: -360 is 18:00). None: as the calendar says.
    half_day, holiday : when the whole session closes on days that XNYS closes early, or stays closed. A None
        `holiday` means that there is no session then.
    pause : minutes between which trading rests within the session (grains between night and day); None: never.
    also : other codes it is known by.
    """

    code: str
    name: str
    kind: str
    exchange: str
    multiplier: float
    tick: float
    calendar: str
    time_zone: str
    opens: int | None = None
    closes: int | None = None
    regular_opens: int | None = None
    regular_closes: int | None = None
    half_day: int | None = None
    holiday: int | None = None
    pause: tuple[int, int] | None = None
    currency: str = "USD"
    also: tuple[str, ...] = ()

    @property
    def overnight(self) -> bool:
        """Whether a session begins on the day before its date."""
        return self.opens is not None and self.opens < 0

    @property
    def day_shift_minutes(self) -> int:
        """Minutes that a local clock is put forward by, so that its date is the session's: 360 for an 18:00 open."""
        return -self.opens if self.opens is not None and self.opens < 0 else 0


def _future(
    code: str,
    also: str,
    name: str,
    exchange: str,
    multiplier: float,
    tick: float,
    zone: str,
    whole: tuple[str, str],
    regular: tuple[str, str],
    half_day: str,
    holiday: str | None,
    pause: tuple[int, int] | None = None,
    currency: str = "USD",
) -> Product:
    return Product(
        code,
        name,
        "FUTURE",
        exchange,
        multiplier,
        tick,
        "CMES",
        zone,
        _clock(whole[0], -1),
        _clock(whole[1]),
        _clock(regular[0]),
        _clock(regular[1]),
        _clock(half_day),
        _clock(holiday),
        pause,
        currency,
        (also,) if also != code else (),
    )


def _index(code: str, name: str, exchange: str, multiplier: float, tick: float) -> Product:
    whole, regular = ("18:00", "17:00"), ("09:30", "16:00")
    return _future(code, code, name, exchange, multiplier, tick, NEW_YORK, whole, regular, "13:15", "13:00")


def _currency(code: str, also: str, name: str, size: float, tick: float, currency: str = "USD") -> Product:
    whole, regular = ("17:00", "16:00"), ("07:20", "14:00")
    return _future(code, also, name, "CME", size, tick, CHICAGO, whole, regular, "12:15", "12:00", currency=currency)


def _treasury(code: str, also: str, name: str, multiplier: float, tick: float) -> Product:
    whole, regular = ("17:00", "16:00"), ("07:20", "14:00")
    return _future(code, also, name, "CBOT", multiplier, tick, CHICAGO, whole, regular, "12:15", "12:00")


def _grain(code: str, also: str, name: str) -> Product:
    # 5,000 bushels in cents a bushel; the night ends at 07:45, the day begins at 08:30. No session on holidays.
    whole, regular, pause = ("19:00", "13:20"), ("08:30", "13:20"), (465, 510)
    return _future(code, also, name, "CBOT", 50.0, 0.25, CHICAGO, whole, regular, "12:05", None, pause)


def _commodity(code: str, name: str, exchange: str, size: float, tick: float, pit: tuple[str, str]) -> Product:
    return _future(code, code, name, exchange, size, tick, NEW_YORK, ("18:00", "17:00"), pit, "13:45", "14:30")


def stock(code: str, name: str = "", calendar: str = "XNYS", zone: str = NEW_YORK) -> Product:
    """A stock, fund or index of an exchange; in New York with the hours before and after the market, 04:00 to 20:00."""
    if zone != NEW_YORK:
        return Product(code, name or code, "STOCK", calendar, 1.0, 0.01, calendar, zone)
    return Product(
        code, name or code, "STOCK", calendar, 1.0, 0.01, calendar, zone, _clock("04:00"), _clock("20:00"),
        half_day=_clock("17:00"),
    )  # fmt: skip


_ALL = (
    _index("ES", "E-mini S&P 500", "CME", 50.0, 0.25),
    _index("NQ", "E-mini Nasdaq-100", "CME", 20.0, 0.25),
    _index("YM", "E-mini Dow ($5)", "CBOT", 5.0, 1.0),
    _currency("AD", "6A", "Australian dollar", 100_000.0, 0.00005),
    _currency("BP", "6B", "British pound", 62_500.0, 0.0001),
    _currency("CD", "6C", "Canadian dollar", 100_000.0, 0.00005),
    _currency("EU", "6E", "Euro", 125_000.0, 0.00005),
    _currency("JY", "6J", "Japanese yen", 12_500_000.0, 0.0000005),
    _currency("SF", "6S", "Swiss franc", 125_000.0, 0.00005),
    _currency("RP", "RP", "Euro in British pounds", 125_000.0, 0.00005, "GBP"),
    _treasury("TU", "ZT", "2-year Treasury note", 2_000.0, 1 / 256),
    _treasury("FV", "ZF", "5-year Treasury note", 1_000.0, 1 / 128),
    _treasury("TY", "ZN", "10-year Treasury note", 1_000.0, 1 / 64),
    _treasury("US", "ZB", "Treasury bond", 1_000.0, 1 / 32),
    _grain("C", "ZC", "Corn"),
    _grain("S", "ZS", "Soybeans"),
    _grain("W", "ZW", "Chicago wheat"),
    _commodity("CL", "Crude oil, WTI", "NYMEX", 1_000.0, 0.01, ("09:00", "14:30")),
    _commodity("NG", "Natural gas", "NYMEX", 10_000.0, 0.001, ("09:00", "14:30")),
    _commodity("PL", "Platinum", "NYMEX", 50.0, 0.1, ("08:20", "13:05")),
    _commodity("PA", "Palladium", "NYMEX", 100.0, 0.5, ("08:30", "13:00")),
    _commodity("GC", "Gold", "COMEX", 100.0, 0.1, ("08:20", "13:30")),
    _commodity("SI", "Silver", "COMEX", 5_000.0, 0.005, ("08:25", "13:25")),
    _commodity("HG", "Copper", "COMEX", 25_000.0, 0.0005, ("08:10", "13:00")),
    # A day of Bitcoin is one of Greenwich: it never rests, so any midnight would do, and sources count by this one.
    Product(
        "BTCUSD", "Bitcoin in US dollars", "SPOT", "spot", 1.0, 0.01, "24/7", "UTC", 0, DAY_MINUTES, 0, DAY_MINUTES,
        also=("BTC-USD", "BTC/USD"),
    ),
    stock("TSLA", "Tesla"),
)  # fmt: skip

#: Code -> product, by code.
PRODUCTS: Mapping[str, Product] = MappingProxyType({each.code: each for each in sorted(_ALL, key=lambda p: p.code)})
#: Code or other code -> product.
CODES: Mapping[str, Product] = MappingProxyType(
    {code: each for each in PRODUCTS.values() for code in (each.code, *each.also)}
)

__all__ = ["CODES", "DAY_MINUTES", "PRODUCTS", "Product", "stock"]
