"""The signals of one moment without a stream: features of the stored bars, the vote, the desk, safety, the store."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app.signals_data import DESK, as_of_session, bar_seconds, base_bars, label_of, regimes_of, symbols_of
from openbell.app.signals_live import LiveModel, live_signals
from openbell.app.stream.deciding import Decided, Deciding
from openbell.app.stream.opening import warm_sessions
from openbell.app.stream.publish import signal_json
from openbell.app.stream.running import open_seconds
from openbell.app.stream.speaking import Speaker, with_received
from openbell.core.bars import FRAMES
from openbell.core.errors import DataMissing
from openbell.core.signal import Call, Said, Signal
from openbell.core.view import View
from openbell.safety.signal_limits import SeenBar, SignalMarket

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.store.signals import Written

#: Nobody waits for a single decision as a stream does: what a member may take, its library included.
MEMBER_SECONDS = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """The decision of one moment and what the store made of it."""

    said: Said
    decided: Decided
    written: tuple[Written, ...]
    dry: bool

    @property
    def as_of(self) -> dt.datetime:
        """The moment of the last bar."""
        return self.decided.decision.as_of

    def table(self) -> pl.DataFrame:
        """A row per symbol."""
        rows = [
            (each.symbol, each.call.value, each.confidence, each.price, each.target_price, each.stop_loss,
             each.position_size, f"{each.expires_at:%Y-%m-%d %H:%M}")
            for each in self.decided.signals
        ]  # fmt: skip
        numbers = ("confidence", "price", "target", "stop", "size")
        schema = {"symbol": pl.String, "signal": pl.String, **dict.fromkeys(numbers, pl.Float64), "until": pl.String}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def lines(self) -> list[str]:
        """What has to be said beside it: why, what was held back, what became of each."""
        said = list(self.decided.decision.why)
        told = (each for each in self.decided.signals if each.call is not Call.HOLD and each.reasoning)
        said += [f"{each.symbol}: {' '.join(each.reasoning)}" for each in told]
        said += [f"{symbol} is held back by {check}: {why}" for symbol, (check, why) in self.decided.held.items()]
        if self.dry:
            return [*said, "Nothing was stored: a dry run."]
        said += [f"Signal {each.id}: {each.status}. {each.why}" for each in self.written if each.why]
        return [*said, f"{len(self.written)} signals stored."]

    def as_json(self) -> dict[str, Any]:
        """For a program to read."""
        decision = self.decided.decision
        return {
            "session": str(decision.session),
            "as_of": decision.as_of.isoformat(),
            "signals": [signal_json(each) for each in self.decided.signals],
            "why": list(decision.why),
            "held": {symbol: {"check": check, "why": why} for symbol, (check, why) in self.decided.held.items()},
            "verdicts": [
                {"check": each.check, "outcome": each.outcome.value, "why": each.why} for each in decision.verdicts
            ],
            "stored": [{"id": each.id, "status": str(each.status), "why": each.why} for each in self.written],
        }


def run_signals(home: Home, session: dt.date | None = None, *, store: bool = False) -> Done:
    """The signals on the last bar known before the open of `session`; with `store` they begin their life.

    The same run again stores nothing twice: a signal is one of its model, symbol and moment.

    Raises
    ------
    DataMissing
        Without a training, or without a bar from which every feature has its look-back.
    """
    moment, _ = as_of_session(home, session)
    live = live_signals(home, moment)
    view = View(home.tables, moment, home.sessions)
    bars = _bars(home, view, live)
    speaker = _speaker(home, live, regimes_of(home, view))
    try:
        said = _said(home, live, speaker, bars)
        standing = _standing(home, said.as_of) if store else ()
        decided = _deciding(home).decided(said, _market(home, said, bars, standing))
        decided = _reasoned(speaker, decided)
    finally:
        speaker.close()
    written = _stored(home, said, decided) if store else ()
    return Done(said, decided, written, not store)


def _bars(home: Home, view: View, live: LiveModel) -> pl.DataFrame:
    """Bars of every symbol, as far back as the longest look-back and the longest memory of a member reach."""
    base = home.settings.signals.base
    back = warm_sessions(live.features.lineage()) + live.model.history_rows
    newest = home.sessions.last_closed(view.as_of)
    first = home.sessions.dates[max(0, home.sessions.index(newest) - back)]
    found = base_bars(home, view, symbols_of(home, view), first).collect()
    if found.is_empty():
        raise DataMissing(f"There is no bar of {base} from {first} on. Import newer bars.")
    return found


def _speaker(home: Home, live: LiveModel, regimes: Mapping[dt.date, str]) -> Speaker:
    from openbell.research.signal_reasons import reasons

    return Speaker(live, MEMBER_SECONDS, bar_seconds(home.settings.signals.base), reasons, live.ends, regimes)


def _said(home: Home, live: LiveModel, speaker: Speaker, bars: pl.DataFrame) -> Said:
    """What the model says of the last moment; symbols whose last bar is older are silent."""
    from openbell.research.signal_rows import decides

    settings = home.settings.signals
    minutes = FRAMES[settings.base]
    rows = live.features.history(bars)
    which = decides(
        rows,
        settings.decide_every,
        within_session=minutes is not None,
        sessions=home.sessions,
        bar_minutes=None if minutes is None else float(minutes),
    )
    rows = rows.filter(which & pl.col("sigma").is_not_null() & (pl.col("sigma") > 0))
    if rows.is_empty():
        raise DataMissing(f"No bar of {settings.base} is one at which the desk decides, with a volatility above 0.")
    moments = rows["as_of"].unique().sort()
    for at in moments[-live.model.history_rows :]:
        speaker.remember(rows.filter(pl.col("as_of") == at))
    last = with_received(rows.filter(pl.col("as_of") == moments[-1]), bars)
    older = set(bars["symbol"].unique()) - set(last["symbol"])
    silent = dict.fromkeys(sorted(older), "Its last bar is older, or has no volatility.")
    return speaker.said(last, last["session"][0], moments[-1], silent)


def _market(home: Home, said: Said, bars: pl.DataFrame, standing: Sequence[Signal]) -> SignalMarket:
    """What the checks see at the moment itself."""
    known = bars.filter(pl.col("at") <= said.as_of).group_by("symbol", maintain_order=True)
    seen = {
        symbol: SeenBar(at, close, before, open_seconds(home.sessions, at, said.as_of))
        for symbol, at, close, before in known.agg(
            pl.col("at").last(), pl.col("close").last(), pl.col("close").get(-2, null_on_oob=True).alias("before")
        ).iter_rows()
    }
    opens, closes = home.sessions.open(said.session), home.sessions.close(said.session)
    return SignalMarket(said.as_of, opens, closes, seen, standing)


def _standing(home: Home, at: dt.datetime) -> tuple[Signal, ...]:
    active = home.signals.active_many(None, at)
    return tuple(each.signal for some in active.values() for each in some if each.signal.created_at != at)


def _deciding(home: Home) -> Deciding:
    checks = home.catalogue.checks_of(DESK)
    limits = {each.name: home.settings.safety[each.name] for each in checks}
    desk = home.catalogue.desks[DESK]
    return Deciding(desk, home.settings.desks[DESK], checks, limits, home.settings.run.capital)


def _reasoned(speaker: Speaker, decided: Decided) -> Decided:
    """The signals that say to buy or sell with what moved the model, in words, as a stream gives them."""
    wanted = [each for each in decided.signals if each.call is not Call.HOLD]
    told = dict(zip((each.symbol for each in wanted), speaker.reasons(wanted), strict=True)) if wanted else {}
    signals = tuple(
        dataclasses.replace(each, reasoning=(*told.get(each.symbol, ()), *each.reasoning)) for each in decided.signals
    )
    return dataclasses.replace(decided, signals=signals)


def _stored(home: Home, said: Said, decided: Decided) -> tuple[Written, ...]:
    """The signals into the store, and the decision into the journal."""
    wanted = home.settings.signals
    kept = _kept(home, decided)
    home.signals.expire(said.as_of)
    written = home.signals.write(kept, at=said.as_of, max_active=wanted.max_active, margin=wanted.conflict_margin)
    decision = decided.decision
    payload = recorded(home, said, decided)
    home.journal.append("decision", payload, at=said.as_of, key=decision.key)
    return tuple(written)


def _kept(home: Home, decided: Decided) -> list[Signal]:
    return [each for each in decided.signals if home.settings.signals.keep_holds or each.call is not Call.HOLD]


def recorded(home: Home, said: Said, decided: Decided) -> dict[str, Any]:
    """What the journal is told of a decision; the same decision derived again tells the same."""
    decision = decided.decision
    return {
        "desk": DESK,
        "session": str(decision.session),
        "as_of": said.as_of.isoformat(),
        "model": said.model,
        "label": label_of(home).name,
        "signals": [signal_json(each) for each in _kept(home, decided)],
        "why": list(decision.why),
        "made_of": dict(said.made_of),
    }
