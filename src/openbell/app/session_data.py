"""What the session desk learns from: the early bars of one product, other markets, and what came of each session."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import polars as pl

from openbell.core.declare import Feature, Label
from openbell.core.errors import BadInput, DataMissing, unknown
from openbell.core.session import CLASSES, MARKETS
from openbell.core.time import MOMENT
from openbell.core.view import View

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.market.products import Product
    from openbell.research.session_rows import SessionRows

DESK = "session"
#: Calendar days that the longest look-back of daily bars needs before the first session.
_WARM_UP_DAYS = 850
_LEVELS: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "at": MOMENT,
    "level": pl.Float64,
    "known_at": MOMENT,
    "daily": pl.Boolean,
}


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Sessions with what came of them, ready to be learned from.

    Attributes
    ----------
    rows : columns of `core.session.DECISIONS` and the features, by session. features : their names, in order.
    bars : minutes of those sessions. label : what is learned. product : its code. session, as_of : what was known
        before the regular open of the session. lineage : of every feature. made_up : the word that stands beside every
        figure where bars were generated, else empty. notes : what was left out.
    """

    rows: pl.DataFrame
    features: tuple[str, ...]
    bars: pl.DataFrame
    label: Label
    product: str
    session: dt.date
    as_of: dt.datetime
    lineage: pl.DataFrame
    made_up: str
    notes: tuple[str, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes of the label, in order."""
        return CLASSES[self.label.name]


def features_of(home: Home) -> list[Feature]:
    """The features of the desk's families, in its order."""
    families = home.catalogue.desks[DESK].families
    own = [
        each
        for each in home.catalogue.features.values()
        if each.family in families and each.reads in ("early", "session")
    ]
    return sorted(own, key=lambda each: families.index(each.family))


def label_of(home: Home) -> Label:
    """What the settings say is learned."""
    wanted = home.settings.session.label
    if wanted not in CLASSES or wanted not in home.catalogue.labels:
        raise unknown("label of the session desk", wanted, [name for name in CLASSES if name in home.catalogue.labels])
    return home.catalogue.labels[wanted]


@dataclass(frozen=True)
class Venue:
    """One product in a home: its hours, and the moments at which it is decided."""

    home: Home
    product: Product

    @classmethod
    def of(cls, home: Home, product: str | None = None) -> Venue:
        """The venue of `product`, else of the settings' one, else of the only one that has bars."""
        from openbell.market.products import product as declared

        code = product or home.settings.session.product or _only(home)
        return cls(home, declared(code, exchange=home.sessions.exchange))

    @cached_property
    def span(self) -> tuple[dt.date, dt.date]:
        """First and last session with bars of the settings' base."""
        base, code = self.home.settings.session.base, self.product.code
        if not self.home.tables.exists("minutes"):
            raise DataMissing(
                f"There are no bars within the session in {self.home.path}. Import some with `openbell data import "
                "minutes FILE`, or begin with `openbell demo session`."
            )
        own = self.home.tables.scan("minutes").filter((pl.col("symbol") == code) & (pl.col("freq") == base))
        first, last = (
            own.select(pl.col("session").min().alias("a"), pl.col("session").max().alias("b")).collect().row(0)
        )
        if first is None:
            raise DataMissing(
                f"There is no bar of {base} of {code} in {self.home.path}. Import some with `openbell data import "
                f"minutes FILE --product {code}`, or set session.base to the bars there are."
            )
        return first, last

    @cached_property
    def hours(self) -> pl.DataFrame:
        """Hours of every session from the first with bars to some after the last."""
        from openbell.market.products import hours

        first, last = self.span
        return hours(self.product, first - dt.timedelta(days=_WARM_UP_DAYS), last + dt.timedelta(days=10))

    def session(self, wanted: dt.date | None) -> dt.date:
        """`wanted` if it is a session of the product, else refused; by default the one after the last stored bar."""
        sessions = self.hours["session"]
        if wanted is None:
            return sessions.filter(sessions > self.span[1])[0]
        if wanted not in sessions:
            before, after = sessions.filter(sessions < wanted), sessions.filter(sessions > wanted)
            around = [each.isoformat() for each in (*before.tail(1), *after.head(1))]
            raise BadInput(
                f"{wanted} is not a session of {self.product.code} within the stored bars"
                + (f"; the nearest are {' and '.join(around)}." if around else ".")
            )
        return wanted

    def before_open(self, session: dt.date) -> dt.datetime:
        """The moment before the regular open of `session` that a training for it knows."""
        opens = self.hours.filter(pl.col("session") == session)["regular_open_at"].item()
        found: dt.datetime = opens - dt.timedelta(minutes=self.home.settings.run.lead_minutes)
        return found

    def cutoff(self, session: dt.date) -> dt.datetime:
        """The cut-off of `session`, aware."""
        import zoneinfo

        clock = dt.time.fromisoformat(self.home.settings.session.cutoff)
        return dt.datetime.combine(session, clock, zoneinfo.ZoneInfo(self.product.time_zone)).astimezone(dt.UTC)

    def rows(
        self, view: View, *, first: dt.date, last: dt.date, label: Label | None
    ) -> tuple[SessionRows, pl.DataFrame]:
        """Rows of the sessions from `first` to `last` as `view` knows them, and their bars."""
        from openbell.research.session_rows import session_rows

        settings = self.home.settings.session
        bars = view.minutes(settings.base, symbols=(self.product.code,), first=first, last=last).collect()
        made = session_rows(
            bars,
            self.hours.filter(pl.col("session") <= last),
            _daily(view, self.product.code),
            settings.cutoff,
            self.product.time_zone,
            features_of(self.home),
            label,
            _markets(self.home, view),
        )
        return made, bars


def prepared(home: Home, session: dt.date | None = None, *, product: str | None = None) -> Prepared:
    """Everything known before the regular open of `session`; by default of the one after the last stored bar."""
    venue, label = Venue.of(home, product), label_of(home)
    session = venue.session(session)
    as_of = venue.before_open(session)
    view = View(home.tables, as_of, home.sessions)
    first = session - dt.timedelta(days=round(home.settings.session.history_years * 365.25))
    early = first - dt.timedelta(days=_WARM_UP_DAYS)
    made, bars = venue.rows(view, first=early, last=session - dt.timedelta(days=1), label=label)
    within = pl.col("session") >= first
    return Prepared(
        rows=made.rows.filter(within),
        features=made.features,
        bars=bars.filter(within),
        label=label,
        product=venue.product.code,
        session=session,
        as_of=as_of,
        lineage=made.lineage,
        made_up="generated" if bars["source"].str.starts_with("generated").any() else "",
        notes=made.notes,
    )


def _only(home: Home) -> str:
    """The only product with bars of the base; several are named."""
    base = home.settings.session.base
    if not home.tables.exists("minutes"):
        raise DataMissing(
            f"There are no bars within the session in {home.path}. Import some with `openbell data import minutes "
            "FILE`, or begin with `openbell demo session`."
        )
    rows = home.tables.scan("minutes").filter(pl.col("freq") == base).select("symbol").unique().collect()
    there = rows["symbol"].sort().to_list()
    taken = {getattr(home.settings.session, market) for market in MARKETS}
    own = [each for each in there if each not in taken]
    if len(own) == 1:
        return str(own[0])
    if not own:
        raise DataMissing(
            f"There are no bars of {base} in {home.path}. Import some, or set session.base to the bars there are."
        )
    shown = ", ".join(own[:12])
    raise BadInput(f"There are bars of {base} of several products ({shown}). Name one with `--product`.")


def _daily(view: View, product: str) -> pl.DataFrame | None:
    """Daily bars of `product` as received, None where there are none."""
    if not view.tables.exists("bars"):
        return None
    raw = [pl.col(f"raw_{name}").alias(name) for name in ("open", "high", "low", "close", "volume")]
    found = view.bars("1d", symbols=(product,)).select("session", *raw, "known_at").collect()
    return None if found.is_empty() else found


def _markets(home: Home, view: View) -> dict[str, pl.DataFrame]:
    """Levels of the other markets: bars within the session, daily closes, or a rate; without data it is left out."""
    found = {}
    for market in MARKETS:
        name = getattr(home.settings.session, market)
        parts = [each for each in (_intraday(home, view, name), _closes(view, name), _rate(view, name)) if each.height]
        if name and parts:
            found[market] = pl.concat(parts).sort("known_at", "at")
    return found


def _intraday(home: Home, view: View, name: str) -> pl.DataFrame:
    if not view.tables.exists("minutes"):
        return pl.DataFrame(schema=_LEVELS)
    rows = view.minutes(home.settings.session.base, symbols=(name,))
    return _levels(rows, pl.col("at"), pl.col("close"), daily=False)


def _closes(view: View, name: str) -> pl.DataFrame:
    if not view.tables.exists("bars"):
        return pl.DataFrame(schema=_LEVELS)
    return _levels(view.bars("1d", symbols=(name,)), pl.col("known_at"), pl.col("raw_close"), daily=True)


def _rate(view: View, name: str) -> pl.DataFrame:
    if not view.tables.exists("rates"):
        return pl.DataFrame(schema=_LEVELS)
    rows = view.facts("rates").filter(pl.col("name") == name).sort("session", "known_at")
    newest = rows.unique(["session"], keep="last", maintain_order=True)
    return _levels(newest, pl.col("known_at"), pl.col("value"), daily=True)


def _levels(rows: pl.LazyFrame, at: pl.Expr, level: pl.Expr, *, daily: bool) -> pl.DataFrame:
    chosen = rows.select(at.alias("at"), level.alias("level"), "known_at", pl.lit(daily).alias("daily"))
    return chosen.drop_nulls().select(pl.col(name).cast(kind) for name, kind in _LEVELS.items()).collect()
