"""What a parameter set asks for, snapped onto contracts that are listed, or quoted; never moved in silence."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import polars as pl

from openbell.core.errors import BadInput
from openbell.quant.legs import CALL, PUT
from openbell.quant.listing import Expiries, nearest_expiry
from openbell.quant.parameter_grids import Grid

#: Why a set of targets is not listed; 0 is listed. Never moved in silence: the set is marked and counted.
LISTED, NO_EXPIRY, ZERO_WIDTH, NO_STRIKE, NO_QUOTE = 0, -1, -2, -3, -4
REASONS: Mapping[int, str] = MappingProxyType(
    {
        NO_EXPIRY: "No expiry is listed near enough to the days asked for (or none after the near one).",
        ZERO_WIDTH: "The listed strikes lie so far apart that two legs fall on one strike.",
        NO_STRIKE: "No strike with a quote lies near enough to the strike asked for.",
        NO_QUOTE: "The chain has no contract with a bid above 0 and an ask above its bid at the expiry.",
    }
)
#: A quoted strike stands for a target within this share of the spot, or where no listed strike is nearer.
STRIKE_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Snapped:
    """Targets on listed contracts of p days.

    Attributes
    ----------
    strike : (p, c, legs), NaN where not listed. row : (p, c, legs) of the expiry in the calendar's sessions, -1.
    date : (p, c, legs) datetime64[D], NaT. am : (p, c, legs) whether it settles on the open.
    reason : (p, c), 0 listed, else a key of `REASONS`.
    """

    strike: np.ndarray
    row: np.ndarray
    date: np.ndarray
    am: np.ndarray
    reason: np.ndarray


def snapped(
    targets: Grid,
    listed: Expiries,
    session: np.ndarray,
    spot: np.ndarray,
    increment: np.ndarray,
    fill: np.ndarray | None = None,
) -> Snapped:
    """Each set of targets on the contracts listed on each day: the nearest expiry, the nearest strike.

    Parameters
    ----------
    session, spot, increment : (p,) the day of the chain, its close, the distance of its strikes. NaN is not listed.
    fill : (p,) the day of the fill; every expiry lies after it. `session` if None.

    Returns
    -------
    Snapped
        A set whose far expiry would not lie after its near one, or two of whose strikes would coincide though they
        should differ, is marked, never moved.
    """
    session, spot = np.asarray(session, dtype="datetime64[D]"), np.asarray(spot, dtype=np.float64)
    floor = session if fill is None else np.asarray(fill, dtype="datetime64[D]")
    near, far = targets.dte.min(axis=1), targets.dte.max(axis=1)
    # Many sets ask for the same days: each pair is looked up once.
    asked, place = np.unique(np.column_stack([near, far]), axis=0, return_inverse=True)
    shape = (len(session), len(asked))
    days, floors = np.broadcast_to(session[:, None], shape), np.broadcast_to(floor[:, None], shape)
    soon = nearest_expiry(listed, days, np.broadcast_to(asked[:, 0], shape), floors)
    late = nearest_expiry(
        listed, days, np.broadcast_to(asked[:, 1], shape), np.where(soon >= 0, listed.date[soon], floors)
    )
    soon, late = soon[:, place], late[:, place]
    is_far = targets.dte > near[:, None]
    index = np.where(is_far, late[:, :, None], soon[:, :, None])
    step = np.asarray(increment, dtype=np.float64)[:, None, None]
    strike = np.round(targets.moneyness[None] * spot[:, None, None] / step) * step
    reason = np.where((index < 0).any(axis=2), NO_EXPIRY, LISTED)
    collapsed = _collapsed(targets.moneyness, strike) | ~np.isfinite(strike).all(axis=2) | (strike <= 0).any(axis=2)
    reason = np.where((reason == LISTED) & collapsed, ZERO_WIDTH, reason).astype(np.int8)
    bad = (reason != LISTED)[:, :, None] & np.ones(index.shape, dtype=bool)
    return Snapped(
        np.where(bad, np.nan, strike),
        np.where(bad, -1, listed.row[index]),
        np.where(bad, np.datetime64("NaT", "D"), listed.date[index]),
        ~bad & listed.am[index],
        reason,
    )


def _collapsed(moneyness: np.ndarray, strike: np.ndarray) -> np.ndarray:
    """Whether strikes, (p, c, legs), lost an order that their targets, (c, legs), have."""
    lost = np.zeros(strike.shape[:-1], dtype=bool)
    for i in range(moneyness.shape[1]):
        for j in range(i):
            wanted = np.sign(np.round(moneyness[:, i] - moneyness[:, j], 9))
            lost |= np.sign(strike[..., i] - strike[..., j]) != wanted
    return lost


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """Quotes of one underlying at one moment, one entry per contract.

    Attributes
    ----------
    session : datetime64[D]. spot : points, of the same moment.
    strike, bid, ask : (q,) points. expiry : (q,) datetime64[D]. right : (q,) +1 call, -1 put.
    am : (q,) whether it settles on the open. Where an expiry has both kinds, those on the close are used.
    """

    session: np.datetime64
    spot: float
    strike: np.ndarray
    expiry: np.ndarray
    right: np.ndarray
    bid: np.ndarray
    ask: np.ndarray
    am: np.ndarray

    def __post_init__(self) -> None:
        for name in ("expiry", "right", "bid", "ask", "am"):
            if len(getattr(self, name)) != len(self.strike):
                raise BadInput(f"`{name}` of a chain must have one entry per contract ({len(self.strike)}).")
        if not self.spot > 0:
            raise BadInput(f"The spot of a chain must be above 0; was {self.spot}.")

    @classmethod
    def of(cls, quotes: pl.DataFrame, session: dt.date, spot: float) -> Chain:
        """The chain of `session` in `quotes` (columns of `core.quotes.QUOTES`); a null bid or ask is no quote."""
        rows = quotes.filter(pl.col("session") == session)
        return cls(
            np.datetime64(session, "D"),
            float(spot),
            rows["strike"].to_numpy(),
            rows["expiry"].to_numpy().astype("datetime64[D]"),
            np.where((rows["right"] == "CALL").to_numpy(), CALL, PUT),
            rows["bid"].fill_null(0.0).to_numpy(),
            rows["ask"].fill_null(0.0).to_numpy(),
            (rows["settlement"] == "AM").fill_null(False).to_numpy(),
        )


@dataclass(frozen=True, slots=True, eq=False)
class SnappedChain:
    """Parameter sets on the quoted contracts of one chain.

    Attributes
    ----------
    strike, bid, ask : (c, legs) points, NaN where not quoted. date : (c, legs) datetime64[D], NaT.
    dte : (c, legs) calendar days, -1. am : (c, legs). reason : (c,), 0 quoted, else a key of `REASONS`.
    """

    strike: np.ndarray
    bid: np.ndarray
    ask: np.ndarray
    date: np.ndarray
    dte: np.ndarray
    am: np.ndarray
    reason: np.ndarray


def snap_to_chain(targets: Grid, chain: Chain, fill: np.datetime64 | None = None) -> SnappedChain:
    """Each parameter set on contracts of `chain` with live quotes: a bid above 0 and an ask above the bid.

    The expiry is the one with live quotes nearest the days asked for, of which none further than the listing allows;
    at that expiry each strike is the live one nearest the strike asked for. Legs of one name (both options of a
    straddle, both expiries of a calendar) share a strike that is live in all of them. A strike further than
    `STRIKE_TOLERANCE` of the spot is taken only where the chain lists none nearer; otherwise the set is marked.

    Parameters
    ----------
    fill : every expiry lies after this day; the chain's own session if None.
    """
    live = (chain.bid > 0) & (chain.ask > chain.bid)
    use = _preferred(chain)
    quoted = np.unique(chain.expiry[live & use])
    board = Expiries.of_chain(chain.session, quoted)
    out = _empty(targets.moneyness.shape)
    days = np.full(len(targets), chain.session)
    floor = days if fill is None else np.full(len(targets), fill)
    near, far = targets.dte.min(axis=1), targets.dte.max(axis=1)
    if not len(quoted):
        out.reason[:] = NO_QUOTE
        return out
    soon = nearest_expiry(board, days, near, floor)
    late = nearest_expiry(board, days, far, np.where(soon >= 0, quoted[soon], floor))
    index = np.where(targets.dte > near[:, None], late[:, None], soon[:, None])
    slices = {
        (each, right): _Slice.of(chain, use & (chain.expiry == each) & (chain.right == right), live)
        for each in quoted[np.unique(index[index >= 0])]
        for right in np.unique(targets.right)
    }
    for c in range(len(targets)):
        if (index[c] < 0).any():
            out.reason[c] = NO_EXPIRY
            continue
        out.date[c] = quoted[index[c]]
        legs = [slices[date, right] for date, right in zip(out.date[c], targets.right, strict=True)]
        out.reason[c] = _place(out, c, targets.moneyness[c], legs, chain.spot)
    bad = out.reason != LISTED
    for each in (out.strike, out.bid, out.ask):
        each[bad] = np.nan
    out.date[bad] = np.datetime64("NaT")
    out.dte[~bad] = (out.date[~bad] - chain.session).astype(np.int64)
    return out


def _preferred(chain: Chain) -> np.ndarray:
    """The contracts that settle on the close, and those on the open of expiries that have no other."""
    return np.asarray(~chain.am | ~np.isin(chain.expiry, chain.expiry[~chain.am]))


def _empty(shape: tuple[int, ...]) -> SnappedChain:
    return SnappedChain(
        np.full(shape, np.nan),
        np.full(shape, np.nan),
        np.full(shape, np.nan),
        np.full(shape, np.datetime64("NaT"), dtype="datetime64[D]"),
        np.full(shape, -1, dtype=np.int64),
        np.zeros(shape, dtype=bool),
        np.zeros(shape[0], dtype=np.int8),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Slice:
    """One right of one expiry: all its strikes, and its live ones with their quotes, rising by strike."""

    listed: np.ndarray
    strike: np.ndarray
    bid: np.ndarray
    ask: np.ndarray
    am: np.ndarray

    @classmethod
    def of(cls, chain: Chain, rows: np.ndarray, live: np.ndarray) -> _Slice:
        these = np.flatnonzero(rows & live)
        these = these[np.argsort(chain.strike[these], kind="stable")]
        return cls(chain.strike[rows], chain.strike[these], chain.bid[these], chain.ask[these], chain.am[these])


def _place(out: SnappedChain, c: int, moneyness: np.ndarray, legs: list[_Slice], spot: float) -> int:
    """Put the strikes and quotes of one set into `out`; the reason why not, or 0."""
    for asked in np.unique(moneyness):
        sharing = np.flatnonzero(moneyness == asked)
        common = legs[sharing[0]].strike
        for leg in sharing[1:]:
            common = np.intersect1d(common, legs[leg].strike)
        if not len(common):
            return NO_STRIKE
        target = asked * spot
        strike = common[np.argmin(np.abs(common - target))]
        nearest_listed = min(np.abs(legs[leg].listed - target).min() for leg in sharing)
        if abs(strike - target) > max(STRIKE_TOLERANCE * spot, nearest_listed * (1 + 1e-12)):
            return NO_STRIKE
        for leg in sharing:
            at = int(np.searchsorted(legs[leg].strike, strike))
            out.strike[c, leg], out.bid[c, leg], out.ask[c, leg] = strike, legs[leg].bid[at], legs[leg].ask[at]
            out.am[c, leg] = legs[leg].am[at]
    return ZERO_WIDTH if bool(_collapsed(moneyness[None], out.strike[c][None])[0]) else LISTED
