"""Wires a stream together: settings, models, bars to warm up on, source, store and what is kept for a restart."""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from openbell.app.clock import now, seconds
from openbell.app.signals_data import DESK, bar_seconds, base_bars, label_of, regimes_of, symbols_of
from openbell.app.stream.bars import Reader, schema_of
from openbell.app.stream.deciding import Deciding
from openbell.app.stream.keeping import Keeping, Kept
from openbell.app.stream.metrics import StreamMetrics
from openbell.app.stream.outcomes import Outcomes
from openbell.app.stream.publish import RedisPublisher
from openbell.app.stream.redis_source import RedisSource
from openbell.app.stream.running import Limits, Parts, Stream, refuse_other_models
from openbell.app.stream.sources import Replay, Source
from openbell.app.stream.speaking import Speaker
from openbell.app.stream.summary import Summary
from openbell.app.stream.websocket_source import WebSocketSource
from openbell.core.bars import FRAMES
from openbell.core.errors import BadInput, DataMissing, unknown
from openbell.core.hashing import digest
from openbell.core.view import View

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.app.signals_live import LiveModel

SOURCES = ("replay", "ws", "redis")
#: Key of the Redis stream of bars, and of that of signals.
BARS_STREAM, SIGNALS_STREAM = "openbell:bars", "openbell:signals"
#: Password of Redis, never part of a URL.
REDIS_PASSWORD = "OPENBELL_REDIS_PASSWORD"
_DAY_MINUTES = 390
#: Kind of the records that tell of streams.
STREAM = "stream"


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for on the command line.

    `stream` names what is kept for a restart; by default the source and what it plays. `key` is that of the Redis
    stream of bars. `fresh` forgets what was kept. `warm_sessions` : of stored bars before the first one, None for the
    longest look-back.
    """

    source: str
    symbols: tuple[str, ...] = ()
    speed: float = 60.0
    first: dt.date | None = None
    last: dt.date | None = None
    url: str | None = None
    stream: str | None = None
    key: str = BARS_STREAM
    publish: str | None = None
    grace_seconds: float = 2.0
    snapshot_moments: int = 390
    warm_sessions: int | None = None
    fresh: bool = False

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise unknown("source of bars", self.source, SOURCES)
        if self.source != "replay" and not self.url:
            raise BadInput(f"The source `{self.source}` needs --url, such as {self.source}://host:6379.")
        if self.first and self.last and self.first > self.last:
            raise BadInput(f"--first {self.first} lies after --last {self.last}.")

    def name(self, base: str) -> str:
        """Under which it is kept: the same question goes on where it stopped."""
        if self.stream is not None:
            if not self.stream.replace("-", "").replace("_", "").isalnum():
                raise BadInput(f"The name of a stream is letters, digits, - and _; was {self.stream!r}.")
            return self.stream
        return f"{self.source}-{base}-{digest([self.symbols, self.first, self.url, self.key])[:8]}"


@dataclass(frozen=True, eq=False)
class Opened:
    """A stream with its parts. `past` are the stored bars that it is to be warmed up on, None where it is resumed."""

    stream: Stream
    speakers: tuple[Speaker, ...]
    features: tuple[Any, ...]
    references: dict[str, float | None]
    past: pl.DataFrame | None
    tell: Callable[[str], None]

    def start(self) -> None:
        """Warm up: features and rings on the past, and every member once, which loads its libraries."""
        if self.past is not None and self.past.height:
            self.tell(f"Warming up on {self.past['at'].n_unique():,} stored moments from {self.past['at'].min()} on.")
            self.stream.warm(self.past)
        _warm_members(self.speakers, self.tell)

    @property
    def summary(self) -> Summary:
        """What it did so far."""
        parts = self.stream.parts
        return Summary(
            models=[each.version for each in self.speakers],
            metrics=parts.metrics,
            cached_share=self.features[0].cached_share,
            outcomes=parts.outcomes.summary(self.references),
            unresolved=parts.outcomes.unresolved,
            reports=[*self.stream.reports.values(), *_sentences(self.features[0].reports)],
        )


@contextmanager
def opened(
    home: Home, asked: Asked, *, emit: Callable[[dict[str, Any]], None], tell: Callable[[str], None]
) -> Iterator[Opened]:
    """The stream that `asked` describes, resumed where something was kept; closed at the end.

    Raises
    ------
    DataMissing
        Where no model was trained, or there are no bars to play or to warm up on.
    """
    base = home.settings.signals.base
    moment = now()
    if asked.source == "replay":
        asked, live = _replayed(home, asked)
    else:
        live = _live(home, moment)
    with ExitStack() as closing:
        keeping = Keeping(home.path / "stream" / asked.name(base))
        closing.enter_context(keeping.held())
        if asked.fresh:
            keeping.clear()
        kept = keeping.found()
        view = View(home.tables, moment, home.sessions)
        regimes = regimes_of(home, view)
        speakers = tuple(_speaker(home, each, regimes, closing) for each in live)
        if kept is not None:
            refuse_other_models(kept, [each.version for each in speakers])
        symbols = asked.symbols or tuple(home.settings.signals.symbols)
        wanted = symbols or (tuple(symbols_of(home, view)) if asked.source == "replay" or kept is None else ())
        stored = _played(home, view, wanted, asked) if asked.source == "replay" else None
        metrics = StreamMetrics()
        source = _source(home, view, asked, stored, metrics, tell)
        closing.callback(source.close)
        features = _features(live, kept)
        stream = Stream(
            _parts(home, asked, source, features, speakers, keeping, metrics, frozenset(symbols), emit, tell, closing),
            kept,
        )
        past = None if kept is not None else _past(home, view, wanted, asked, stored, live[0])
        references = {each.version: each.log_loss for each in live}
        yield Opened(stream, speakers, features, references, past, tell)


def played(home: Home, asked: Asked, most: int | None = None) -> tuple[Summary, list[dict[str, Any]]]:
    """A stream from its beginning to the end of its source, or so many moments: what it did, and its signals."""
    said: list[dict[str, Any]] = []
    with opened(home, asked, emit=said.append, tell=lambda sentence: None) as found:
        found.start()
        found.stream.run(most)
        put_on_record(home, asked, found.summary)
        return found.summary, said


def put_on_record(home: Home, asked: Asked, summary: Summary) -> None:
    """What a stream did, into the journal: `openbell report summary` is filled from the last one."""
    home.journal.append(STREAM, {"desk": DESK, "source": asked.source, **summary.as_json()}, at=now())


def _replayed(home: Home, asked: Asked) -> tuple[Asked, tuple[LiveModel, ...]]:
    """What is played, and by whom: only a model that was made before the first session that is played.

    Bars that a model was trained on are no test of it: its signals of them would be hindsight, with the look of a
    record. Without `first` it is the first session that the newest training has not seen.

    Raises
    ------
    BadInput
        Where no model was made before `first`, or nothing came after the newest training.
    """
    from openbell.app.signals_training import needed_signals

    newest = dt.date.fromisoformat(needed_signals(home, now()).payload["session"])
    first = asked.first or newest
    try:
        return replace(asked, first=first), _live(home, home.as_of(first))
    except BadInput as failure:
        raise BadInput(
            f"A replay from {first} needs a model that was made before it, or its signals would be hindsight; the "
            f"newest training knew everything up to the open of {newest}. Train with `openbell train signals --as-of "
            f"{first}`, or play from {newest} on. ({failure})"
        ) from failure


def _live(home: Home, moment: dt.datetime) -> tuple[LiveModel, ...]:
    """The champion and, while an A/B test of the desk runs, the challenger."""
    from openbell.app.signals_live import live_challenger, live_signals

    champion = live_signals(home, moment)
    challenger = live_challenger(home, moment)
    return (champion,) if challenger is None else (champion, challenger)


def _speaker(home: Home, live: LiveModel, regimes: Mapping[dt.date, str], closing: ExitStack) -> Speaker:
    from openbell.research.signal_reasons import reasons

    settings = home.settings.signals
    made = Speaker(live, settings.model_seconds, bar_seconds(settings.base), reasons, live.ends)
    closing.callback(made.close)
    return made


def _features(live: tuple[LiveModel, ...], kept: Kept | None) -> tuple[Any, ...]:
    """The state of the features of each model; models that read no others share it."""
    made: list[Any] = []
    for place, each in enumerate(live):
        if place and set(each.model.features) <= set(live[0].features.columns):
            made.append(made[0])
        elif kept is None:
            made.append(each.features.live())
        else:
            made.append(each.features.restore(kept.folder / f"features-{place}"))
    return tuple(made)


def _parts(
    home: Home,
    asked: Asked,
    source: Source,
    features: tuple[Any, ...],
    speakers: tuple[Speaker, ...],
    keeping: Keeping,
    metrics: StreamMetrics,
    symbols: frozenset[str],
    emit: Callable[[dict[str, Any]], None],
    tell: Callable[[str], None],
    closing: ExitStack,
) -> Parts:
    from openbell.store.signals import Which

    settings, checks = home.settings, home.catalogue.checks_of(DESK)
    wanted, versions = settings.signals, tuple(each.version for each in speakers)
    publisher = None
    if asked.publish:
        publisher = RedisPublisher(asked.publish, SIGNALS_STREAM, seconds=seconds, password=_password())
        closing.callback(publisher.close)
    return Parts(
        source=source,
        features=features,
        speakers=speakers,
        decides=_decides(home),
        deciding=Deciding(
            home.catalogue.desks[DESK],
            settings.desks[DESK],
            checks,
            {each.name: settings.safety[each.name] for each in checks},
            settings.run.capital,
        ),
        signals=home.signals,
        standing=lambda at: [each.signal for some in home.signals.active_many(None, at).values() for each in some],
        known=lambda at: home.signals.page(Which(model_versions=versions, first=at, last=at), 1000).rows,
        outcomes=Outcomes(label_of(home), home.sessions, within_session=FRAMES[wanted.base] is not None),
        keeping=keeping,
        metrics=metrics,
        sessions=home.sessions,
        limits=Limits(wanted.max_active, wanted.conflict_margin, wanted.keep_holds),
        symbols=symbols,
        clock=None if asked.source == "replay" else now,
        seconds=seconds,
        emit=emit,
        tell=tell,
        publisher=publisher,
        arm_of=_arm_of(home) if len(speakers) > 1 else None,
        grace_seconds=asked.grace_seconds,
        snapshot_moments=asked.snapshot_moments,
    )


def _decides(home: Home) -> Callable[[pl.DataFrame], np.ndarray]:
    from openbell.research.signal_rows import decides

    settings = home.settings.signals
    minutes = FRAMES[settings.base]

    def decided(frame: pl.DataFrame) -> np.ndarray:
        if settings.decide_every == 1:
            return np.ones(frame.height, dtype=bool)
        told = decides(
            frame,
            settings.decide_every,
            within_session=minutes is not None,
            sessions=home.sessions,
            bar_minutes=None if minutes is None else float(minutes),
        )
        return told.to_numpy()

    return decided


def _arm_of(home: Home) -> Any:
    """The arm of a question, by the version of the A/B test that runs at the start of the stream."""
    from openbell.app.signals_live import running_test

    running = running_test(home)
    assert running is not None
    return running.definition.arm_of


def _source(
    home: Home,
    view: View,
    asked: Asked,
    played: pl.DataFrame | None,
    metrics: StreamMetrics,
    tell: Callable[[str], None],
) -> Source:
    base = home.settings.signals.base
    if played is not None:
        return Replay(played, base, asked.speed, seconds=seconds, pause=time.sleep)

    said: set[str] = set()

    def unread(sentence: str) -> None:
        """Count a bar that cannot be read; its sentence is told once."""
        metrics.count("messages", asked.source)
        if sentence not in said and len(said) < 100:
            said.add(sentence)
            tell(sentence)

    reader = Reader(base, home.sessions, unread, factors(home, view))
    assert asked.url is not None
    if asked.source == "ws":
        return WebSocketSource(asked.url, reader, seconds=seconds, told=tell)
    return RedisSource(asked.url, asked.key, reader, seconds=seconds, pause=time.sleep, told=tell, password=_password())


def factors(home: Home, view: View) -> dict[str, tuple[float, float]]:
    """By how much the last stored daily bar of each symbol was adjusted: price and share factor."""
    if FRAMES[home.settings.signals.base] is not None or not home.tables.exists("bars"):
        return {}
    last = view.bars("1d").group_by("symbol").agg(pl.all().last()).collect()
    return {
        symbol: (close / raw_close, (raw_volume / volume) if volume else 1.0)
        for symbol, close, raw_close, volume, raw_volume in last.select(
            "symbol", "close", "raw_close", "volume", "raw_volume"
        ).iter_rows()
        if close and raw_close
    }


def _played(home: Home, view: View, symbols: tuple[str, ...], asked: Asked) -> pl.DataFrame:
    """The stored bars that a replay plays."""
    bars = base_bars(home, view, symbols, asked.first)
    if asked.last is not None:
        bars = bars.filter(pl.col("session") <= asked.last)
    found = bars.select(list(schema_of(home.settings.signals.base))).collect()
    if found.is_empty():
        raise DataMissing(
            f"There is no stored bar of {home.settings.signals.base} to play from {asked.first or 'the beginning'} to "
            f"{asked.last or 'the end'}."
        )
    return found


def _past(
    home: Home, view: View, symbols: tuple[str, ...], asked: Asked, played: pl.DataFrame | None, live: LiveModel
) -> pl.DataFrame:
    """Stored bars before the first one that will come, as far back as the longest look-back reaches."""
    base = home.settings.signals.base
    schema = list(schema_of(base))
    rows = base_bars(home, view, symbols or None).select(schema)
    if played is not None:
        begins: Any = played["at"].min()
        if asked.first is None:
            return played.clear()
        rows = rows.filter(pl.col("at") < begins)
    else:
        begins = view.as_of
    back = warm_sessions(live.features.lineage()) if asked.warm_sessions is None else asked.warm_sessions
    session = home.sessions.last_closed(begins)
    first = home.sessions.dates[max(0, home.sessions.index(session) - back)]
    return rows.filter(pl.col("session") >= first).collect()


def warm_sessions(lineage: pl.DataFrame) -> int:
    """Sessions that hold the longest look-back of the features: columns ``frame`` and ``lookback`` (bars of it)."""
    most = 1
    for frame, rows in lineage.group_by("frame").agg(pl.col("lookback").max()).iter_rows():
        minutes = FRAMES[frame]
        bars_a_session = 1 if minutes is None else max(1, _DAY_MINUTES // minutes)
        most = max(most, -(-int(rows) // bars_a_session) + 1)
    return most


def _warm_members(speakers: tuple[Speaker, ...], tell: Callable[[str], None]) -> None:
    for each in speakers:
        row = {"symbol": "WARM", "as_of": now(), **dict.fromkeys(each.columns)}
        schema = {"symbol": pl.String, "as_of": pl.Datetime("us", "UTC"), **dict.fromkeys(each.columns, pl.Float64)}
        for name, why in each.warm(pl.DataFrame([row], schema=schema)).items():
            if "abstained" not in why:
                tell(f"{name} of {each.version} does not answer yet: {why}")


def _sentences(reports: Any) -> list[str]:
    """What the features say of bars that did not go on."""
    return [
        f"{each.bars:,} bars were refused ({each.reason}): {each.sentence} The last: {each.example}."
        for each in reports
    ]


def _password() -> str | None:
    return os.environ.get(REDIS_PASSWORD)
