"""`openbell signals`: what was said, what became of it, and what it was worth."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openbell.app.cli.words import (
    HomeOption,
    JsonOption,
    SetOption,
    SettingsOption,
    names_of,
    open_home,
    print_json,
    print_table,
)
from openbell.core.errors import BadInput

if TYPE_CHECKING:
    from openbell.store.signal_pages import Which
    from openbell.store.signals import Signals, Stored

IdArgument = Annotated[int, typer.Argument(metavar="ID", min=1, help="The number that `openbell signals list` shows.")]
SymbolOption = Annotated[str | None, typer.Option("--symbol", metavar="A,B", help="Of these symbols only.")]
TypeOption = Annotated[str | None, typer.Option("--type", metavar="CALL", help="BUY, SELL or HOLD; or several, A,B.")]
StatusOption = Annotated[
    str | None,
    typer.Option("--status", metavar="STATUS", help="ACTIVE, EXECUTED, EXPIRED, SUPERSEDED or CANCELLED; or several."),
]
ModelOption = Annotated[str | None, typer.Option("--model", metavar="VERSION", help="Of one version of a model.")]
FirstOption = Annotated[
    str | None,
    typer.Option("--first", metavar="WHEN", help="Made then or later: 2025-05-22 (UTC), or a moment with its zone."),
]
LastOption = Annotated[
    str | None, typer.Option("--last", metavar="WHEN", help="Made then or before; a date stands for its whole day.")
]
ConfidenceOption = Annotated[
    float | None, typer.Option("--min-confidence", min=0.0, max=1.0, help="Of this confidence or more.")
]
ArchivedOption = Annotated[bool, typer.Option("--archived", help="Those in the archive, too.")]
_DAY = dt.timedelta(days=1) - dt.timedelta(microseconds=1)


def moment(text: str | None, *, end: bool = False) -> dt.datetime | None:
    """`text` as a moment; a date is the first moment of its day in UTC, or its last where it is an `end`."""
    from openbell.core.time import utc

    if text is None:
        return None
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(
            f"`{text}` is neither a date nor a moment. Write it like 2025-05-22 or 2025-05-22T14:30:00+00:00."
        ) from None
    if len(text) <= len("2025-05-22"):
        day = found.replace(tzinfo=dt.UTC)
        return day + _DAY if end else day
    return utc(found)


def _which(
    symbol: str | None, call: str | None, status: str | None, model: str | None, first: str | None, last: str | None,
    min_confidence: float | None, archived: bool,
) -> Which:  # fmt: skip
    from openbell.core.errors import unknown
    from openbell.core.signal import Call, Status
    from openbell.store.signal_pages import Which

    def words(text: str | None, what: str, kind: type[Call] | type[Status]) -> tuple[Any, ...]:
        found = tuple(each.upper() for each in names_of(text) or ())
        for each in found:
            if each not in list(kind):
                raise unknown(what, each, [word.value for word in kind])
        return tuple(kind(each) for each in found)

    return Which(
        symbols=tuple(each.upper() for each in names_of(symbol) or ()),
        calls=words(call, "call of a signal", Call),
        statuses=words(status, "status of a signal", Status),
        model_versions=() if model is None else (model,),
        first=moment(first),
        last=moment(last, end=True),
        min_confidence=min_confidence,
        archived=archived,
    )


def _kept(home: Path | None, sets: list[str] | None, settings: Path | None) -> Signals:
    return open_home(home, sets, settings).kept_signals


def _row(stored: Stored, at: dt.datetime) -> dict[str, str]:
    """A signal as a line of the list, short enough for a narrow terminal; `show` and --json tell the rest."""
    from openbell.app.api.signal_answers import status_at

    signal, made = stored.signal, stored.decimals["performance"]
    return {
        "id": str(stored.id),
        "made": f"{signal.created_at:%Y-%m-%d %H:%M}",
        "what": f"{signal.call.value} {signal.symbol}",
        "sure": f"{signal.confidence:.0%}",
        "price": f"{signal.price:,.2f}",
        "target": _amount(signal.target_price),
        "stop": _amount(signal.stop_loss),
        "size": "" if signal.position_size is None else f"{signal.position_size:.1%}",
        "status": status_at(stored, at).value,
        "made %": "" if made is None else f"{made:+.2f}",
    }


def _amount(price: float | None) -> str:
    return "" if price is None else f"{price:,.2f}"


def list_(
    symbol: SymbolOption = None,
    status: StatusOption = None,
    call: TypeOption = None,
    model: ModelOption = None,
    first: FirstOption = None,
    last: LastOption = None,
    min_confidence: ConfidenceOption = None,
    archived: ArchivedOption = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000, help="Signals of a page.")] = 50,
    cursor: Annotated[
        str | None, typer.Option("--cursor", metavar="TEXT", help="Go on where a page ended; it was printed there.")
    ] = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Signals, newest first."""
    from openbell.app.api.signal_answers import page_answer
    from openbell.app.clock import now

    which = _which(symbol, call, status, model, first, last, min_confidence, archived)
    page = _kept(home, sets, settings).page(which, limit, cursor)
    if as_json:
        print_json(page_answer(page.rows, page.cursor, now()))
        return
    if not page.rows:
        print("There is no such signal. Leave a filter out, or make some with `openbell run signals`.")
        return
    import polars as pl

    at = now()
    print_table(pl.DataFrame([_row(each, at) for each in page.rows], infer_schema_length=None))
    if page.cursor is not None:
        print(f"There are more: --cursor {page.cursor} with the same filters goes on.")


def show(
    id: IdArgument, home: HomeOption = None, sets: SetOption = None, settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """One signal: its odds, its reasons, what it was made of, and everything that happened to it."""
    from openbell.app.api.signal_answers import whole_answer
    from openbell.app.clock import now

    store = _kept(home, sets, settings)
    told = whole_answer(store.get(id), store.events(id), now())
    if as_json:
        print_json(told)
        return
    _tell(told)


def _tell(told: dict[str, Any]) -> None:
    import polars as pl

    print(f"Signal {told['id']}: {told['signal_type']} {told['symbol']}, {told['status']}, by {told['model_version']}")
    print(f"made {told['created_at']}, valid until {told['expires_at']}" + (", archived" if told["archived"] else ""))
    odds = ", ".join(f"{call} {share:.3f}" for call, share in told["probabilities"].items())
    print(f"confidence {told['confidence']:.4f} ({odds})")
    levels = {"target": "target_price", "stop": "stop_loss", "size": "position_size", "sigma": "sigma"}
    shown = [
        f"price {told['price']:g}",
        *(f"{k} {told[name]:g}" for k, name in levels.items() if told[name] is not None),
    ]
    print(", ".join(shown) + (f"; the market is {told['regime']}" if told["regime"] else ""))
    for name, each in (("Not heard in the vote: ", told["missing"]), ("Because: ", told["reasoning"])):
        if each:
            print(name + " ".join(each))
    if told["outcome"] is not None:
        known = {name: value for name, value in told["outcome"].items() if value is not None}
        print("Outcome: " + ", ".join(f"{name} {value}" for name, value in known.items()))
    events = [
        {name: each[name] for name in ("at", "what", "to_status", "by", "other_id", "why")} for each in told["events"]
    ]
    print_table(pl.DataFrame(events, infer_schema_length=None), "What happened to it")
    features = {"feature": list(told["features"]), "value": list(told["features"].values())}
    if told["features"]:
        print_table(pl.DataFrame(features, schema={"feature": pl.String, "value": pl.Float64}), "What it was shown")
    if told["made_of"]:
        print("Made of: " + ", ".join(f"{name} {value}" for name, value in told["made_of"].items()))


def cancel(
    id: IdArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept in the audit.")],
    by: Annotated[str, typer.Option("--by", help="Who says so.")] = "command line",
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that a signal is not to be acted on any more; one that ended already is refused (exit code 1)."""
    from openbell.app.api.signal_answers import signal_answer
    from openbell.app.clock import now

    became = _kept(home, sets, settings).cancel(id, at=now(), by=by, why=reason, word="cancel")
    if as_json:
        print_json(signal_answer(became, now()))
    else:
        print(
            f"Signal {id} ({became.signal.call} {became.signal.symbol}) is cancelled: {became.why} "
            "A running service tells no other within the seconds of `signals.signal_cache_seconds`."
        )


def analytics(
    by: Annotated[
        str, typer.Option("--by", metavar="WHAT", help="all, symbol, call, band (of confidence), regime, age or model.")
    ] = "all",
    symbol: SymbolOption = None,
    status: StatusOption = None,
    call: TypeOption = None,
    model: ModelOption = None,
    first: FirstOption = None,
    last: LastOption = None,
    min_confidence: ConfidenceOption = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """What signals were worth, the archive included: every share with its base rate, every figure with its interval.

    `age` is that of a signal when it was acted on.
    """
    from openbell.app.api.signal_answers import GROUPS, analytics_answer, one_group
    from openbell.app.clock import now
    from openbell.app.signals_store import worth
    from openbell.core.errors import unknown

    if by not in GROUPS:
        raise unknown("grouping of signals", by, GROUPS)
    which, at = _which(symbol, call, status, model, first, last, min_confidence, True), now()
    store = _kept(home, sets, settings)
    told = one_group(analytics_answer(worth(store, which, at), at), by)
    if as_json:
        print_json(told)
    else:
        _tell_worth(told)


def _spread(row: dict[str, Any], name: str, form: str, ends: str | None = None) -> str:
    """A figure with its interval in one cell; the interval of ``hit_rate`` is ``hit_low`` to ``hit_high``."""
    value, low, high = (row[each] for each in (name, f"{ends or name}_low", f"{ends or name}_high"))
    if value is None:
        return ""
    return form.format(value) if low is None else f"{form.format(value)} ({form.format(low)} to {form.format(high)})"


def _class_row(row: dict[str, Any]) -> dict[str, str]:
    return {
        "of": str(row["value"]),
        "signals": f"{row['signals']:,}",
        "known": f"{row['known']:,}",
        "came true": _spread(row, "accuracy", "{:.1%}"),
        "by chance": "" if row["base_rate"] is None else f"{row['base_rate']:.1%}",
        "said": "" if row["mean_confidence"] is None else f"{row['mean_confidence']:.1%}",
    }


def _trade_row(row: dict[str, Any]) -> dict[str, str]:
    return {
        "of": str(row["value"]),
        "trades": f"{row['trades']:,}",
        "won": _spread(row, "hit_rate", "{:.1%}", "hit"),
        "mean return": _spread(row, "mean_return", "{:+.2%}", "return"),
        "profit factor": "" if row["profit_factor"] is None else f"{row['profit_factor']:.2f}",
        "enough": "yes" if row["enough"] else "no",
    }


def _tell_worth(told: dict[str, Any]) -> None:
    import polars as pl

    print(", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in told["counts"].items() if count))
    for note in told["notes"]:
        print(note)
    if not told["groups"]:
        return
    print_table(pl.DataFrame([_class_row(each) for each in told["groups"]]), "The class that was called")
    print_table(pl.DataFrame([_trade_row(each) for each in told["groups"]]), "The trades, after costs")
    said = told["calibration"]
    if said["error"] is not None:
        low, high = (f"{said[name]:.4f}" if said[name] is not None else "?" for name in ("low", "high"))
        print(
            f"Calibration error {said['error']:.4f} ({low} to {high}); true probabilities would show "
            f"{said['by_chance'] or 0.0:.4f} by chance."
        )


def tidy(
    home: HomeOption = None, sets: SetOption = None, settings: SettingsOption = None, as_json: JsonOption = False
) -> None:
    """End what is past its time, and move what ended long ago (`signals.archive_days`) to the archive."""
    from openbell.app.clock import now

    opened = open_home(home, sets, settings)
    store, at, days = opened.kept_signals, now(), opened.settings.signals.archive_days
    expired = store.expire(at)
    archived = store.archive(at - dt.timedelta(days=days))
    if as_json:
        print_json({"expired": expired, "archived": archived})
    else:
        print(f"{expired:,} signals expired; {archived:,} that ended {days:g} days ago or more are in the archive now.")


def track(
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Join to each signal what came of it, from the stored bars after it: hit, return, excursions, time to target.

    Entered at the next open, the stop before the target where one bar holds both, after costs. An outcome is joined
    once; a signal whose horizon the bars do not reach yet has none. Import newer bars first.
    """
    from openbell.app.signals_outcomes import track as tracked

    joined = tracked(open_home(home, sets, settings))
    if as_json:
        print_json({"joined": joined})
    else:
        print(f"{joined:,} signals have an outcome that had none. `openbell signals analytics` says their worth.")


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Signals: what was said, what became of it, what it was worth.")
    group.command("list")(list_)
    group.command("show")(show)
    group.command("cancel")(cancel)
    group.command("analytics")(analytics)
    group.command("tidy")(tidy)
    group.command("track")(track)
    app.add_typer(group, name="signals")
