"""One model at one moment: its members are shown the features, vote, and what they said goes to the desk."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
import polars as pl

from openbell.app.stream.members import WARM_SECONDS, Heard, Members, Question, Worker, sentence
from openbell.app.stream.rings import Rings
from openbell.core.signal import IN_SET, PROBABILITIES, SAID, Said, Signal


class Voted(Protocol):
    """What a vote came to: probabilities and conformal sets, shape (n, 3) in the order of `CALLS`."""

    @property
    def probabilities(self) -> np.ndarray:
        """Calibrated; NaN rows where nobody spoke."""
        ...

    @property
    def in_set(self) -> np.ndarray:
        """Whether each class is in the conformal set."""
        ...


class Speaks(Protocol):
    """A fitted model of the signals desk; see `research.signal_models.SignalModel`."""

    members: Mapping[str, Any]
    features: Sequence[str]

    def matrix(self, features: pl.DataFrame) -> np.ndarray:
        """What plain members read, made once for all of them."""
        ...

    def say(self, name: str, features: Any, keys: pl.DataFrame) -> np.ndarray:
        """Raw probabilities of one member."""
        ...

    def vote(self, said: Mapping[str, np.ndarray]) -> Voted | None:
        """The vote of those that are in `said`."""
        ...


class Live(Protocol):
    """A model in office with what the desk has to know of it; see `app.signals_training.LiveModel`."""

    model: Any
    version: str
    proven: bool
    barrier: float
    horizon_bars: int
    made_of: Mapping[str, Any]


class RowsBySymbol(Mapping[str, Mapping[str, float | None]]):
    """The features of each symbol, made only when they are looked at: most rows become a HOLD that nobody keeps."""

    def __init__(self, frame: pl.DataFrame, columns: Sequence[str]) -> None:
        self._frame, self._columns = frame, tuple(columns)
        self._places = {symbol: place for place, symbol in enumerate(frame["symbol"])}

    def __getitem__(self, symbol: str) -> Mapping[str, float | None]:
        return _Row(self._frame, self._places[symbol], self._columns)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class _Row(Mapping[str, "float | None"]):
    def __init__(self, frame: pl.DataFrame, place: int, columns: tuple[str, ...]) -> None:
        self._frame, self._place, self._columns = frame, place, columns

    def __getitem__(self, name: str) -> float | None:
        value: float | None = self._frame[name][self._place]
        return None if value is None or value != value else value

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


class Speaker:
    """A model with the rows that it remembers and its members in their threads.

    Parameters
    ----------
    live : the model. member_seconds : what a member may take. bar_seconds : length of a base bar.
    explain : see `research.signal_reasons.reasons`; None gives no reasons. ends : until when a signal of a moment and
    session lives; None is the desk's own 24 hours. regimes : of the market by session, known before it.
    """

    def __init__(
        self,
        live: Live,
        member_seconds: float,
        bar_seconds: float,
        explain: Callable[..., Any] | None = None,
        ends: Callable[[dt.datetime, dt.date], dt.datetime] | None = None,
        regimes: Mapping[dt.date, str] | None = None,
    ) -> None:
        self.live, self._bar_seconds, self._ends = live, bar_seconds, ends
        self._regimes = regimes or {}
        self._explain = None if explain is None else Worker(f"reasons of {live.version}", partial(_explained, explain))
        self._seconds = member_seconds
        self.columns = tuple(live.model.features)
        depth = {name: _depth(each) for name, each in live.model.members.items()}
        self._sequential = frozenset(name for name, rows in depth.items() if rows > 1)
        self.rings = Rings(self.columns, max(depth.values()))
        self._members = Members(tuple(depth), live.model.say, member_seconds)

    @property
    def version(self) -> str:
        """What its signals name as their model."""
        return self.live.version

    def warm(self, frame: pl.DataFrame) -> Mapping[str, str]:
        """Ask every member about rows that do not matter, so that the first real answer waits for no library."""
        return self._members.ask(self._questions(frame, remembered=False), WARM_SECONDS).missing

    def remember(self, frame: pl.DataFrame) -> None:
        """Take the decisions of a moment into the rings; every moment once, and in order."""
        if self._sequential and frame.height:
            self.rings.add(frame)

    def said(self, frame: pl.DataFrame, session: dt.date, as_of: dt.datetime, silent: Mapping[str, str]) -> Said:
        """What the vote says of the rows of `frame`, which are remembered already.

        `frame` has ``symbol as_of close sigma`` and the features, one row per symbol, all of the moment `as_of`: what
        is older never votes. `silent` says why other symbols have no row.
        """
        if frame.is_empty():
            return self._made(frame, None, Heard({}), session, as_of, silent)
        try:
            heard = self._members.ask(self._questions(frame, remembered=True))
        except Exception as failure:  # what the members are shown cannot be made, so that none of them is asked
            heard = Heard({}, dict.fromkeys(self.live.model.members, sentence(failure)))
        voted = self.live.model.vote(heard.said) if heard.said else None
        return self._made(frame, voted, heard, session, as_of, silent)

    def reasons(self, signals: Sequence[Signal], *, waiting: bool = False) -> list[tuple[str, ...]]:
        """Why each was given, by the features of its members; one that cannot be explained is given all the same.

        It takes as long as a member may at most, but where nobody is `waiting` for the signals.
        """
        if self._explain is None:
            return [()] * len(signals)
        if not self._explain.free:
            return [("It was not explained: an earlier explanation takes too long.",)] * len(signals)
        rows = [{name: each.features.get(name) for name in self.columns} for each in signals]
        shown = pl.DataFrame(rows, schema=dict.fromkeys(self.columns, pl.Float32))
        heard = [name for name in self.live.model.members if name not in signals[0].missing]
        try:
            asked = self._explain.ask(self.live.model, shown, [each.call.value for each in signals], heard)
            told: list[tuple[str, ...]] = asked.result(self._seconds if waiting else None)
            return told
        except TimeoutError:
            return [(f"It was not explained within {self._seconds:g} s.",)] * len(signals)
        except Exception as failure:  # whatever a library throws, the signal is worth more than its explanation
            return [(f"It could not be explained ({type(failure).__name__}).",)] * len(signals)

    def close(self) -> None:
        """Let the threads of the members end."""
        self._members.close()
        if self._explain is not None:
            self._explain.dismiss()

    def _questions(self, frame: pl.DataFrame, *, remembered: bool) -> dict[str, Question]:
        keys = pl.DataFrame([frame["as_of"].to_physical().alias("t"), frame["symbol"]])
        plain = Question(self.live.model.matrix(frame), keys, np.ones(frame.height, dtype=bool))
        if not self._sequential or not remembered:
            return dict.fromkeys(self.live.model.members, plain)
        windows = Question(*self.rings.windows(frame["symbol"].to_list()))
        return {name: windows if name in self._sequential else plain for name in self.live.model.members}

    def _made(
        self,
        frame: pl.DataFrame,
        voted: Voted | None,
        heard: Heard,
        session: dt.date,
        as_of: dt.datetime,
        silent: Mapping[str, str],
    ) -> Said:
        rows, unheard = _rows(frame, voted)
        live = self.live
        return Said(
            as_of=as_of,
            session=session,
            rows=rows,
            model=live.version,
            proven=live.proven,
            barrier=live.barrier,
            horizon_bars=live.horizon_bars,
            bar_seconds=self._bar_seconds,
            expires_at=self._ends(as_of, session) if self._ends else None,
            features=RowsBySymbol(frame, self.columns),
            reasons=_abstentions(frame, heard),
            silent={**silent, **unheard},
            missing=heard.missing,
            regime=self._regimes.get(session),
            made_of=live.made_of,
        )


def _explained(
    explain: Callable[..., Any], model: Any, features: pl.DataFrame, calls: list[str], heard: list[str]
) -> Any:
    return explain(model, features, calls, members=heard)


def _depth(member: Any) -> int:
    return int(getattr(member, "history_rows", 1))


def _rows(frame: pl.DataFrame, voted: Voted | None) -> tuple[pl.DataFrame, dict[str, str]]:
    """The rows of `SAID` that somebody spoke of, and why the others have none."""
    if voted is None:
        why = "No member of the vote was heard."
        return pl.DataFrame(schema=dict(SAID)), dict.fromkeys(frame["symbol"], why)
    told = np.isfinite(voted.probabilities).all(axis=1)
    price = "received_close" if "received_close" in frame.columns else "close"  # nobody trades at an adjusted price
    columns: dict[str, Any] = {"symbol": frame["symbol"], "close": frame[price], "sigma": frame["sigma"]}
    columns |= {name: voted.probabilities[:, place] for place, name in enumerate(PROBABILITIES)}
    columns |= {name: voted.in_set[:, place] for place, name in enumerate(IN_SET)}
    rows = pl.DataFrame(columns, schema=dict(SAID))
    if told.all():
        return rows, {}
    rows, left = rows.filter(pl.Series(told)), frame["symbol"].filter(pl.Series(~told))
    return rows, dict.fromkeys(left, "Every member of the vote abstained on it.")


def with_received(frame: pl.DataFrame, bars: pl.DataFrame) -> pl.DataFrame:
    """`frame` with the closes as received, where its bars are daily and so adjusted."""
    if "raw_close" not in bars.columns:
        return frame
    closes = bars.select("symbol", pl.col("at").alias("as_of"), pl.col("raw_close").alias("received_close"))
    return frame.join(closes, on=["symbol", "as_of"], how="left", maintain_order="left")


def _abstentions(frame: pl.DataFrame, heard: Heard) -> dict[str, tuple[str, ...]]:
    """A sentence for each symbol of which a member that was heard did not speak."""
    found: dict[str, list[str]] = {}
    for name, answer in heard.said.items():
        silent = np.isnan(answer).any(axis=1)
        for symbol in frame["symbol"].filter(pl.Series(silent)) if silent.any() else ():
            found.setdefault(symbol, []).append(f"{name} abstained on it.")
    return {symbol: tuple(told) for symbol, told in found.items()}
