"""Which contract of a future is in force, and how contracts join into one series, by what was known at each session."""

from __future__ import annotations

import numpy as np

from openbell.core.errors import BadInput, unknown

RULES = ("volume", "days")
ADJUSTMENTS = ("ratio", "difference", "none")


def contracts_in_force(
    volume: np.ndarray, session: np.ndarray, last_session: np.ndarray, *, by: str, days: int = 5
) -> np.ndarray:
    """The contract in force in each session.

    The first one is the nearest that trades when the series begins. With ``volume`` the series rolls in session t when
    a later contract had traded more than the one in force in session t-1: volumes of t are not known when it opens.
    With ``days`` it rolls when fewer than `days` sessions are left to the last one of the contract in force, which is
    known from the start. Either rule rolls after a contract's last session. The series rolls into the later contract
    that had traded most the session before (the nearest, where none had), and never back.

    Parameters
    ----------
    volume : traded in each session by each contract, float64 (n, k), contracts in order of their expiry; NaN or 0
        where one had no bar.
    session : number of each session in the calendar, int64 (n,), ascending. last_session : number of the last session
        of each contract, int64 (k,), not descending.
    days : sessions before the last one from which on the next contract is in force; 0 rolls after the last one.

    Returns
    -------
    Positions of contracts, int64 (n,); -1 where nothing has traded yet.
    """
    if by not in RULES:
        raise unknown("rule to roll by", by, RULES)
    if days < 0:
        raise BadInput(f"`days` before the last session must be 0 or more; was {days}.")
    traded = np.nan_to_num(np.asarray(volume, dtype=np.float64), nan=0.0)
    if traded.ndim != 2 or traded.shape != (len(session), len(last_session)):
        raise BadInput(
            f"`volume` needs a row per session and a column per contract, {(len(session), len(last_session))}; was "
            f"{traded.shape}."
        )
    if (np.diff(last_session) < 0).any() or (np.diff(session) <= 0).any():
        raise BadInput("Sessions and the last sessions of contracts must be in order of time. Sort them.")
    left = last_session[None, :] - session[:, None]
    in_force = np.empty(len(session), dtype=np.int64)
    now = -1
    for t in range(len(session)):
        now = _next(traded, left[t], now, t, days if by == "days" else None)
        in_force[t] = now
    return in_force


def _next(traded: np.ndarray, left: np.ndarray, now: int, t: int, days: int | None) -> int:
    """The contract in force in session `t`, after `now`; `left` are sessions to the last one of each contract."""
    if now < 0:
        begun = np.flatnonzero((left >= 0) & (traded[t] > 0))
        return int(begun[0]) if len(begun) else -1
    later = now + 1 + np.flatnonzero(left[now + 1 :] >= (0 if days is None else days))
    if not len(later):
        return now
    before = traded[t - 1]
    best = int(later[np.argmax(before[later])])
    if left[now] < 0 or (days is not None and left[now] < days):
        return best
    return best if days is None and before[best] > before[now] else now


def roll_steps(in_force: np.ndarray) -> np.ndarray:
    """Positions of the sessions that the series rolls into, int64: another contract than the session before."""
    into = np.asarray(in_force[1:])
    return 1 + np.flatnonzero((into != in_force[:-1]) & (np.asarray(in_force[:-1]) >= 0))


def forward_adjustment(
    sessions: int, rolls: np.ndarray, old: np.ndarray, new: np.ndarray, *, adjust: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What joins the prices of the contracts in force: ``price * factor + offset`` has no jump at a roll.

    Prices are adjusted forward, from the first contract on, so a value never changes when a later roll comes. Prices
    adjusted backward from the newest contract are these, times one number (or plus one): returns, and differences, are
    the same.

    Parameters
    ----------
    sessions : how many there are. rolls : of `roll_steps`, int64 (r,).
    old, new : prices of the contracts left and entered at one moment of the session before each roll, float64 (r,);
        NaN where they never traded together. Such a roll is not adjusted: its jump stays in the series.
    adjust : ratio, difference or none.

    Returns
    -------
    factor, offset : float64 (sessions,); 1 and 0 up to the first roll. joined : whether each roll was adjusted, (r,).

    Raises
    ------
    BadInput
        A ratio of prices that are not above 0.
    """
    if adjust not in ADJUSTMENTS:
        raise unknown("adjustment of a roll", adjust, ADJUSTMENTS)
    factor, offset = np.ones(sessions), np.zeros(sessions)
    joined = np.isfinite(old) & np.isfinite(new) & (adjust != "none")
    if adjust == "ratio":
        if (np.minimum(old, new)[joined] <= 0).any():
            raise BadInput("A roll by ratio needs prices above 0 on both sides. Adjust by `difference`.")
        factor[rolls[joined]] = old[joined] / new[joined]
    elif adjust == "difference":
        offset[rolls[joined]] = old[joined] - new[joined]
    return np.cumprod(factor), np.cumsum(offset), joined
