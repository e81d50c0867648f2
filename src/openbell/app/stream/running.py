"""The stream itself: one moment after the other from bars to signals, until the source ends or somebody stops it."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl

from openbell.app.stream.deciding import ArmOf, Decided, Deciding
from openbell.app.stream.keeping import Keeping, Kept, Mark
from openbell.app.stream.metrics import StreamMetrics
from openbell.app.stream.moments import Moment, Moments
from openbell.app.stream.outcomes import Outcomes
from openbell.app.stream.publish import signal_json
from openbell.app.stream.sources import Source
from openbell.app.stream.speaking import Speaker, with_received
from openbell.core.errors import BadInput
from openbell.core.signal import Call, Said, Signal
from openbell.core.time import Sessions
from openbell.safety.signal_limits import SeenBar, SignalMarket

#: How long a source is waited for before the stream looks whether it is to stop, or a moment is due.
TICK_SECONDS = 0.05


class Features(Protocol):
    """The state of the features, bar by bar; see `research.bar_features_live.LiveFeatures`.

    `refused` are the bars of the last call that did not go on: ``symbol``, ``at``, ``reason``, ``sentence``.
    """

    refused: pl.DataFrame

    def advance(self, bars: pl.DataFrame) -> pl.DataFrame:
        """The features of the symbols of `bars` at their moment; a bar that is refused has no row."""
        ...

    def snapshot(self, folder: Path) -> None:
        """Write the state into `folder`."""
        ...


class Signals(Protocol):
    """The store; see `store.signals.Signals`."""

    def write(self, signals: Sequence[Signal], *, at: dt.datetime, max_active: int, margin: float) -> Sequence[Any]:
        """Begin their lives, in one transaction."""
        ...

    def expire(self, at: dt.datetime) -> Any:
        """End those whose time is over."""
        ...


class Publisher(Protocol):
    """Hands signals to others."""

    def publish(self, told: Sequence[dict[str, Any]]) -> str | None:
        """A sentence where it failed."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What the settings say of a signal's life and of what is stored."""

    max_active: int
    conflict_margin: float
    keep_holds: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """Active signals, looked up only where somebody asks for them: most moments have nothing to compare with them."""

    look: Callable[[], Sequence[Signal]]

    def __iter__(self) -> Iterator[Signal]:
        return iter(self.look())


@dataclass(frozen=True, eq=False)
class Parts:
    """What a stream is made of.

    Attributes
    ----------
    features : the state of the features of each speaker, in their order; the same object where they share it.
    speakers : the champion and, in an A/B test, the challenger. arm_of : of the A/B test.
    decides : whether the desk decides at each row of ``symbol session as_of``.
    standing : the active signals at a moment. known : what the store holds of these models of a moment.
    symbols : of which a bar is waited for; none for those of the moment before.
    clock : the wall clock, None in a replay, where it is the moment's own. seconds : a clock that only goes forward.
    emit : is handed every stored signal as JSON. tell : is handed sentences.
    """

    source: Source
    features: tuple[Features, ...]
    speakers: tuple[Speaker, ...]
    decides: Callable[[pl.DataFrame], np.ndarray]
    deciding: Deciding
    signals: Signals
    standing: Callable[[dt.datetime], Sequence[Signal]]
    known: Callable[[dt.datetime], Sequence[Any]]
    outcomes: Outcomes
    keeping: Keeping
    metrics: StreamMetrics
    sessions: Sessions
    limits: Limits
    symbols: frozenset[str]
    clock: Callable[[], dt.datetime] | None
    seconds: Callable[[], float]
    emit: Callable[[dict[str, Any]], None]
    tell: Callable[[str], None]
    publisher: Publisher | None = None
    arm_of: ArmOf | None = None
    grace_seconds: float = 2.0
    snapshot_moments: int = 390


@dataclass(eq=False)
class Stream:
    """Runs until the source ends, `stop` is called, or so many moments are done. `resumed` is what was found."""

    parts: Parts
    resumed: Kept | None = None
    reports: dict[str, str] = field(default_factory=dict, init=False)
    _closes: dict[str, tuple[dt.datetime, float]] = field(default_factory=dict, init=False)
    _over: threading.Event = field(default_factory=threading.Event, init=False)
    _mark: Mark = field(default_factory=Mark, init=False)
    _since: int = field(default=0, init=False)
    _doubt: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._snapshot_at = self._finished_at = None
        if self.resumed is not None:
            self._mark, self._doubt = self.resumed.snapshot, True
            self._snapshot_at, self._finished_at = self.resumed.snapshot.at, self.resumed.finished.at
            told = self.resumed.state["closes"]
            self._closes = {name: (dt.datetime.fromisoformat(at), close) for name, (at, close) in told.items()}
            self.parts.outcomes.read(self.resumed.folder)
            for place, each in enumerate(self.parts.speakers):
                with np.load(self.resumed.folder / f"rings-{place}.npz", allow_pickle=False) as arrays:
                    each.rings.from_arrays(dict(arrays))

    def stop(self) -> None:
        """Finish the moment, then end; threads and signal handlers may call it."""
        self._over.set()

    def warm(self, bars: pl.DataFrame) -> None:
        """Take stored bars of the past without deciding; should the source tell them again, they are known."""
        for days in bars.sort("at", "symbol").partition_by("session", maintain_order=True):
            if self._over.is_set():
                return
            self._advance(days, "warmed")
            self._snapshot_at = days["at"][-1]
            self.parts.outcomes.settle()

    def run(self, most: int | None = None) -> None:
        """Work through the source; `most` moments at most."""
        parts = self.parts
        moments = Moments(parts.symbols, parts.grace_seconds, self._mark.at)
        self._say(parts.source.resume(self._mark.position))
        if self.resumed is None and not self._over.is_set():
            self._snapshot()
        done = 0
        while not self._over.is_set() and not parts.source.ended and (most is None or done < most):
            batch = parts.source.read(TICK_SECONDS)
            now = parts.seconds()
            ready = [] if batch is None else moments.add(batch, now)
            for moment in (*ready, *moments.due(now)):
                done += self._process(moment)
        for moment in moments.flush(parts.seconds()) if parts.source.ended else ():
            self._process(moment)
        self.settle()
        if self.resumed is not None or done or not self._over.is_set():
            self._snapshot()

    def settle(self) -> None:
        """Score what is known by now."""
        self.parts.outcomes.settle()
        latest = self.parts.outcomes.latest
        if latest is not None:
            self.parts.metrics.drifted(latest)

    def _process(self, moment: Moment) -> int:
        """One moment from its bars to the mark that it is done; 1 where it counts as one."""
        parts, began = self.parts, self.parts.seconds()
        bars = self._new(moment.bars)
        if bars.is_empty():
            return 0
        frames = self._advance(bars)
        computed = parts.seconds()
        if moment.late:
            parts.metrics.count("moments", "late")
            self._say(f"{bars.height} bars of {moment.at.isoformat()} came after it was over: they were taken, and "
                      "nothing was decided on them.", "late")  # fmt: skip
            return 0
        said = self._said(frames, moment)
        spoken = parts.seconds()
        again = self._finished_at is not None and moment.at <= self._finished_at
        if not again and said:
            self._decide(said, moment, spoken)
        parts.outcomes.heard(said)
        self._count(moment, said, again, (began, computed, spoken))
        self._finish(Mark(moment.at, moment.position or self._mark.position), again)
        return 1

    def _new(self, bars: pl.DataFrame) -> pl.DataFrame:
        """`bars` without those that the snapshot holds already: a source is read again from a little before it."""
        if self._snapshot_at is None or bars["at"][0] > self._snapshot_at:
            return bars
        never = (dt.datetime.min.replace(tzinfo=dt.UTC), 0.0)
        fresh = [at > self._closes.get(symbol, never)[0] for symbol, at in bars.select("symbol", "at").iter_rows()]
        self.parts.metrics.count("bars", "again", len(fresh) - sum(fresh))
        return bars.filter(pl.Series(fresh, dtype=pl.Boolean))

    def _advance(self, bars: pl.DataFrame, word: str = "taken") -> list[pl.DataFrame]:
        """The decisions among `bars` for each speaker, with their features; they are remembered."""
        parts = self.parts
        made: dict[int, pl.DataFrame] = {}
        for each in parts.features:
            if id(each) not in made:
                made[id(each)] = each.advance(bars)
        frames = [made[id(each)] for each in parts.features]
        taken = frames[0]
        parts.metrics.count("bars", word, taken.height)
        accepted = bars
        if taken.height < bars.height:
            for reason in parts.features[0].refused["reason"]:
                parts.metrics.count("bars", reason)
            there = taken.select("symbol", pl.col("as_of").alias("at"))
            accepted = bars.join(there, on=["symbol", "at"], how="semi").unique(["symbol", "at"], keep="first")
            accepted = accepted.sort("at")
        self._previous = dict(self._closes)
        for symbol, at, close in zip(accepted["symbol"], accepted["at"], accepted["close"], strict=True):
            self._closes[symbol] = (at, close)
        parts.outcomes.saw(accepted)
        rows = [_decisions(each, parts.decides(each)) for each in frames]
        for speaker, each in zip(parts.speakers, rows, strict=True):
            speaker.remember(each)
        return [with_received(each, accepted) for each in rows]

    def _said(self, frames: Sequence[pl.DataFrame], moment: Moment) -> list[Said]:
        """What every speaker says of the moment; nothing where the desk does not decide at it."""
        if all(each.is_empty() for each in frames):
            return []
        session = frames[0]["session"][0] if frames[0].height else moment.bars["session"][0]
        silent = self._silent(frames[0], moment)
        return [
            speaker.said(rows, session, moment.at, silent)
            for speaker, rows in zip(self.parts.speakers, frames, strict=True)
        ]

    def _silent(self, rows: pl.DataFrame, moment: Moment) -> dict[str, str]:
        """Why symbols that were waited for have no row."""
        there, came = set(rows["symbol"]), set(moment.bars["symbol"])
        silent = {each: "Its bar of this moment did not come." for each in self.parts.symbols - came}
        silent |= dict.fromkeys(came - there, "It has no volatility yet.")
        refused = self.parts.features[0].refused.select("symbol", "sentence").drop_nulls().iter_rows()
        return silent | {symbol: why for symbol, why in refused if symbol not in there}

    def _decide(self, said: Sequence[Said], moment: Moment, spoken: float) -> None:
        parts, at = self.parts, moment.at
        if self._doubt:
            self._doubt = False
            there = parts.known(at)
            if there:  # it was killed between its signals and its mark: all are there, and may not have been told
                self._hand_on(
                    [signal_json(each.signal, id=each.id, status=str(each.status), why=each.why) for each in there]
                )
                parts.signals.expire(at)
                return
        market = self._market(said[0])
        beside = said[1] if len(said) > 1 else None
        decided = parts.deciding.decided(said[0], market, beside, parts.arm_of)
        kept = self._explained(
            [each for each in decided.signals if parts.limits.keep_holds or each.call is not Call.HOLD]
        )
        written: Sequence[Any] = ()
        if kept:
            written = parts.signals.write(
                kept, at=at, max_active=parts.limits.max_active, margin=parts.limits.conflict_margin
            )
        ended = parts.seconds()
        parts.metrics.time("store", ended - spoken)
        parts.metrics.time("end_to_end", ended - moment.received)
        self._tell(decided, kept, written)
        parts.signals.expire(at)  # nothing above looks at one whose time is over, so nobody waits for this

    def _explained(self, signals: Sequence[Signal]) -> list[Signal]:
        """`signals` with the reasons of those that say to buy or sell, by the model that made each."""
        by_model = {each.version: each for each in self.parts.speakers}
        began = self.parts.seconds()
        wanted = [each for each in signals if each.call is not Call.HOLD]
        told: dict[str, Signal] = {}
        for version in {each.model_version for each in wanted}:
            own = [each for each in wanted if each.model_version == version]
            for signal, why in zip(
                own, by_model[version].reasons(own, waiting=self.parts.clock is not None), strict=True
            ):
                told[signal.key] = replace(signal, reasoning=(*why, *signal.reasoning))
        if wanted:
            self.parts.metrics.time("reasons", self.parts.seconds() - began)
        return [told.get(each.key, each) for each in signals]

    def _tell(self, decided: Decided, kept: Sequence[Signal], written: Sequence[Any]) -> None:
        """Count what was decided, and hand it on."""
        parts = self.parts
        for each in decided.signals:
            parts.metrics.count("signals", each.call.value)
        for symbol, (check, why) in decided.held.items():
            parts.metrics.count("held", check)
            self._say(f"The signal of {symbol} is held back by `{check}`: {why}", f"held {check}")
        self._hand_on(
            [
                signal_json(signal, id=each.id, status=str(each.status), why=each.why)
                for signal, each in zip(kept, written, strict=True)
            ]
        )

    def _hand_on(self, told: Sequence[dict[str, Any]]) -> None:
        """Print and publish signals that are in the store."""
        parts = self.parts
        for each in told:
            parts.emit(each)
        if told and parts.publisher is not None:
            failure = parts.publisher.publish(told)
            parts.metrics.count("published", "failed" if failure else "sent", len(told))
            self._say(failure, "publish")

    def _market(self, said: Said) -> SignalMarket:
        """What the checks see."""
        parts, at = self.parts, said.as_of
        now = at if parts.clock is None else parts.clock()
        age = open_seconds(parts.sessions, at, now)
        bars = {}
        for symbol, close in self._now.items():
            before = self._previous.get(symbol)
            bars[symbol] = SeenBar(at, close, None if before is None else before[1], age)
        session = said.session
        active = Standing(lambda: [each for each in parts.standing(at) if each.created_at != at])
        return SignalMarket(at, parts.sessions.open(session), parts.sessions.close(session), bars, active)

    @property
    def _now(self) -> Mapping[str, float]:
        """The closes of the symbols whose bar was taken at the latest moment."""
        return {name: close for name, (at, close) in self._closes.items() if self._previous.get(name) != (at, close)}

    def _count(self, moment: Moment, said: Sequence[Said], again: bool, times: tuple[float, float, float]) -> None:
        began, computed, spoken = times
        metrics = self.parts.metrics
        metrics.count("moments", "again" if again else "decided" if said else "passed")
        metrics.time("waited", moment.closed - moment.received)
        metrics.time("features", computed - began)
        if not said:
            return
        metrics.time("inference", spoken - computed)
        for each in said:
            for name, why in each.missing.items():
                metrics.count("missing", name)
                self._say(f"{name} of {each.model} was not in the vote: {why}", f"missing {name}")
            if each.rows.is_empty():
                metrics.count("moments", "silent")
                self._say(f"Nobody spoke at {each.as_of.isoformat()} for {each.model}.", "silent")

    def _finish(self, mark: Mark, again: bool) -> None:
        self._mark = mark
        if not again:
            self.parts.keeping.finish(mark)
        self._since += 1
        if self._since >= self.parts.snapshot_moments:
            self.settle()
            self._snapshot()

    def _snapshot(self) -> None:
        parts, self._since = self.parts, 0
        closes = {name: [at.isoformat(), close] for name, (at, close) in self._closes.items()}
        models = [each.version for each in parts.speakers]
        parts.keeping.snapshot(self._mark, {"closes": closes, "models": models}, self._write)

    def _write(self, folder: Path) -> None:
        for place, each in enumerate(self.parts.features):
            (folder / f"features-{place}").mkdir()
            each.snapshot(folder / f"features-{place}")
        for place, speaker in enumerate(self.parts.speakers):
            np.savez(folder / f"rings-{place}.npz", **speaker.rings.to_arrays())
        self.parts.outcomes.write(folder)

    def _say(self, sentence: str | None, kind: str | None = None) -> None:
        """Tell a sentence; one of a kind that repeats is told once and counted, or a broken source would drown all."""
        if sentence is None:
            return
        if kind is None or kind not in self.reports:
            self.parts.tell(sentence)
        self.reports[kind or sentence] = sentence


def _decisions(frame: pl.DataFrame, decides: np.ndarray) -> pl.DataFrame:
    """The rows at which the desk decides; as in training, one without a volatility above 0 is none."""
    sigma, close = (frame[name].to_numpy() for name in ("sigma", "close"))
    wanted = decides & np.isfinite(sigma) & (sigma > 0) & (close > 0)
    return frame if wanted.all() else frame.filter(pl.Series(wanted))


def open_seconds(sessions: Sessions, since: dt.datetime, until: dt.datetime) -> float:
    """How many seconds of trading lie between two moments; negative where `until` comes first."""
    if until < since:
        return (until - since).total_seconds()
    span = sessions.between(since.date() - dt.timedelta(days=1), until.date() + dt.timedelta(days=1))
    total = 0.0
    for session in span:
        begins, ends = max(since, sessions.open(session)), min(until, sessions.close(session))
        total += max(0.0, (ends - begins).total_seconds())
    return total


def refuse_other_models(kept: Kept, versions: Sequence[str]) -> None:
    """Refuse to go on with the memory of another model."""
    if kept.state["models"] != list(versions):
        raise BadInput(
            f"The stream was run by {' and '.join(kept.state['models'])}; now {' and '.join(versions)} would speak. "
            "Begin it anew with --fresh, which warms up on stored bars."
        )
