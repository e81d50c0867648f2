"""The almanac of a home: its products, one scenario looked at, and how often was looked before."""

from __future__ import annotations

import datetime as dt
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app.clock import now
from openbell.core.bars import FRAMES
from openbell.core.errors import BadInput, DataMissing, nearest
from openbell.core.hashing import digest
from openbell.core.view import View
from openbell.research.almanac_days import Almanac, almanac
from openbell.research.almanac_filter_kinds import Custom
from openbell.research.almanac_kept import Kept, kept, study
from openbell.research.almanac_scenario import Scenario

if TYPE_CHECKING:
    from openbell.app.almanac_tables import Told
    from openbell.app.home import Home
    from openbell.market.products import Product
    from openbell.research.almanac_metrics import Study
    from openbell.research.almanac_studies import TwoSamples
    from openbell.store.trials import Trial

#: Almanacs that are held in memory, so that a page need not read the bars again for every click.
_HELD = 4
_held: OrderedDict[tuple[Any, ...], Almanac] = OrderedDict()
_lock = threading.Lock()


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What one look at a scenario showed.

    Attributes
    ----------
    scenario, almanac, kept : what was asked, of which sessions. told : tables and sentences of the statistic.
    comparison : the metric of the sessions kept against all others of the span; None where either has fewer than 3.
    looks : how many different looks at this product there were, this one included; every p is adjusted for them.
    p_adjusted : of the comparison, by Bonferroni over the looks. sentences : for a reader, in order.
    """

    scenario: Scenario
    almanac: Almanac
    kept: Kept
    told: Told
    comparison: TwoSamples | None
    looks: int
    p_adjusted: float | None
    sentences: tuple[str, ...]


def stored_products(home: Home) -> pl.DataFrame:
    """What bars there are: ``symbol``, ``freq``, ``bars``, ``first``, ``last``, finest frame of each symbol first."""
    if not home.tables.exists("minutes"):
        raise DataMissing(
            f"There are no bars within the session in {home.path}. Import some with `openbell data import minutes "
            "FILE`, or begin with `openbell demo session`."
        )
    session = pl.col("session")
    rows = home.tables.scan("minutes").group_by("symbol", "freq")
    found = rows.agg(pl.len().alias("bars"), session.min().alias("first"), session.max().alias("last")).collect()
    order = pl.col("freq").replace_strict(dict(FRAMES), return_dtype=pl.Int64)
    return found.sort("symbol", order)


def product_almanac(home: Home, symbol: str, freq: str | None = None) -> Almanac:
    """The almanac of `symbol` from the bars of `freq`, by default the finest there are."""
    there = stored_products(home)
    own = there.filter(pl.col("symbol") == symbol)
    if own.is_empty():
        raise DataMissing(f"There are no bars of {symbol} within the session. {nearest(symbol, there['symbol'])}")
    frames = own["freq"].to_list()
    if freq is not None and freq not in frames:
        raise DataMissing(f"Of {symbol} there are bars of {', '.join(frames)}, not of {freq}.")
    chosen = str(freq or frames[0])
    key = (home.settings.store.tables, home.settings.data.calendar, symbol, chosen, len(home.tables.log.commits()))
    with _lock:
        if key in _held:
            _held.move_to_end(key)
            return _held[key]
    made = _made(home, symbol, chosen, own.filter(pl.col("freq") == chosen).row(0, named=True))
    with _lock:
        _held[key] = made
        while len(_held) > _HELD:
            _held.popitem(last=False)
    return made


def product_of(home: Home, symbol: str) -> Product:
    """Hours and clock of `symbol`: of the catalogue, also for one delivery month (``ES_202603``), else a stock's."""
    from openbell.market.products import CODES, product

    code = symbol.partition("_")[0].upper()
    return product(code if code in CODES else symbol, exchange=home.sessions.exchange)


def _made(home: Home, symbol: str, freq: str, span: Mapping[str, Any]) -> Almanac:
    from openbell.market.products import hours

    own = product_of(home, symbol)
    view = View(home.tables, now(), home.sessions)
    bars = view.minutes(freq, symbols=(symbol,)).collect()
    daily = _daily(view, symbol)
    first = span["first"] if daily is None else min(span["first"], daily["session"].min())
    week = dt.timedelta(days=7)
    return almanac(bars, hours(own, first - week, span["last"] + week), daily, zone=own.time_zone)


def _daily(view: View, symbol: str) -> pl.DataFrame | None:
    """Daily bars as received, for sessions without bars of their own; None where there are none."""
    if not view.tables.exists("bars"):
        return None
    raw = [pl.col(f"raw_{name}").alias(name) for name in ("open", "high", "low", "close", "volume")]
    found = view.bars("1d", symbols=(symbol,)).select("session", *raw).collect()
    return None if found.is_empty() else found


def events_of(home: Home) -> pl.DataFrame | None:
    """The calendar of economic events as announced by now."""
    from openbell.market.economic_events import known_events

    return known_events(home.tables, now())


def asked_study(home: Home, scenario: Scenario, products: Sequence[str] = ()) -> Study:
    """The study of `scenario`, with the almanacs of its filters' products and of `products`."""
    own = product_almanac(home, scenario.product, scenario.freq)
    asked = {each.product for each in scenario.filters.filters() if isinstance(each, Custom) and each.product}
    others = {symbol: product_almanac(home, symbol) for symbol in sorted({*asked, *products} - {scenario.product})}
    return study(scenario, own, events=events_of(home), others=others)


def kept_of(home: Home, scenario: Scenario) -> tuple[Almanac, Kept]:
    """The almanac of the scenario's product, and the sessions that its filters keep."""
    asked = asked_study(home, scenario)
    return asked.almanac, kept(asked, scenario)


def look(home: Home, scenario: Scenario) -> Look:
    """Look at `scenario`: which sessions, the statistic of them, and what that is worth after all looks before it."""
    from openbell.app.almanac_tables import told

    own, found = kept_of(home, scenario)
    if not found.n:
        raise DataMissing(
            f"No session is left of {found.of:,}: {scenario.filters.words()}. Take a filter away or widen the span."
        )
    trial, looks = _trial(home, scenario, own)
    against = None if scenario.against is None else product_almanac(home, scenario.against)
    answer = told(own, found, scenario, looks=looks, against=against)
    comparison = _compared(own, found, scenario)
    home.trials.record([trial], at=now())
    adjusted = None if comparison is None or comparison.p != comparison.p else min(1.0, comparison.p * looks)
    return Look(
        scenario, own, found, answer, comparison, looks, adjusted, _sentences(own, found, comparison, looks, adjusted)
    )


def _trial(home: Home, scenario: Scenario, own: Almanac) -> tuple[Trial, int]:
    """This look as the ledger of trials knows it, and how many different ones at the product there are with it."""
    from openbell.store.trials import Trial

    asked = scenario.as_dict() | {"freq": own.freq}
    desk = f"almanac {scenario.product}"
    trial = Trial(desk, "candidate", scenario.statistic, digest(asked), f"{own.product} {own.freq}", asked)
    return trial, home.trials.count(desk) + (trial.fingerprint not in home.trials)


def _compared(own: Almanac, found: Kept, scenario: Scenario) -> TwoSamples | None:
    from openbell.research.almanac_studies import two_samples

    study_ = study(scenario, own)
    table = own.days.select("session").with_columns(study_.values(scenario.metric).alias("value"))
    both = [
        table.filter(pl.col("session").is_in(each.implode()))["value"].drop_nulls().to_numpy()
        for each in (found.sessions, found.others)
    ]
    if min(map(len, both)) < 3:
        return None
    return two_samples(*both, names=("the sessions kept", "all others"))


def _sentences(
    own: Almanac, found: Kept, comparison: TwoSamples | None, looks: int, adjusted: float | None
) -> tuple[str, ...]:
    share = f"{found.n / found.of:.0%}" if found.of else "none"
    said = [f"{found.n:,} of {found.of:,} sessions ({share}) are kept.", *found.notes]
    if comparison is not None:
        said += comparison.sentences
    if adjusted is not None:
        verdict = "stands" if adjusted < 0.05 and found.sufficient else "is no evidence"
        said.append(
            f"This is look number {looks:,} at {own.product}: p adjusted for all of them is {adjusted:.2g}, so the "
            f"difference {verdict}."
        )
    else:
        said.append(f"This is look number {looks:,} at {own.product}.")
    return (*said, *own.notes)


def scenario_with(scenario: Scenario, **changes: Any) -> Scenario:
    """`scenario` with some of its parts changed."""
    try:
        return replace(scenario, **changes)
    except TypeError as error:
        raise BadInput(f"A scenario has no such part: {error}.") from None
