"""Signals: as they stand now, the life of one, what all were worth, and the button that ends one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
from dash import Dash, Input, Output, State, ctx, dcc, html, no_update
from dash.development.base_component import Component

from openbell.app.lab import ui
from openbell.app.lab.entries import words
from openbell.app.lab.figures import signals as figures
from openbell.app.lab.grids import grid, rows
from openbell.app.lab.looks import signals as looks
from openbell.app.lab.page import Lab, Page
from openbell.app.lab.urls import QUERY
from openbell.app.lab.who import who
from openbell.core.errors import BadInput, DataMissing
from openbell.core.signal import Status

_TITLES = {
    "made": "made (UTC)", "until": "valid until (UTC)", "size": "size, of the account", "return_pct": "made, %",
    "target": "target", "stop": "stop",
}  # fmt: skip
_GROUPED: Mapping[str, str] = {
    "band": "by confidence", "model": "by model", "call": "by call", "symbol": "by symbol", "regime": "by regime",
    "age": "by age when acted on", "all": "all together",
}  # fmt: skip
_WORTH = (
    "value", "signals", "known", "days", "accuracy", "accuracy_low", "accuracy_high", "base_rate", "mean_confidence",
    "trades", "hit_rate", "hit_low", "hit_high", "mean_return", "return_low", "return_high", "profit_factor", "note",
)  # fmt: skip
_EVENTS = ("at", "what", "to_status", "by", "other_id", "why")


def layout(lab: Lab, query: Mapping[str, str]) -> Component:
    """The page with the filters of `query`: ``symbol``, ``status``, ``id``."""
    home = lab.open_home()
    statuses = words(query.get("status"))
    try:
        found = looks.live(home, lab.now(), symbols=words(query.get("symbol")), statuses=statuses)
    except DataMissing:
        return ui.empty("There is no signal yet. A run of the desk or a stream makes them.", "openbell run signals")
    seconds = home.settings.lab.refresh_seconds
    chosen = query.get("id", "")
    return html.Div(
        [
            ui.section("Now", _filters(query), _table(found, seconds)),
            dcc.Loading(html.Div(id="signals-life"), type="dot"),
            ui.section("What they were worth", _groupings(), dcc.Loading(html.Div(id="signals-worth"), type="dot")),
            dcc.Store(id="signals-chosen", data=int(chosen) if chosen.isdigit() and len(chosen) < 13 else None),
            dcc.Interval(id="signals-again", interval=1000 * seconds),
            dcc.ConfirmDialog(id="signals-sure"),
        ]
    )


def _filters(query: Mapping[str, str]) -> Component:
    symbol = dcc.Input(
        id="signals-symbol", value=query.get("symbol", ""), placeholder="all, or SPY, QQQ", debounce=True
    )
    status = dcc.Dropdown(
        [each.value for each in Status], list(words(query.get("status"))), id="signals-status", multi=True,
        placeholder="all",
    )  # fmt: skip
    return html.Div([ui.field("Symbols", symbol), ui.field("Status", status)], className="fields")


def _table(found: looks.LiveSignals, seconds: float) -> Component:
    caption = f"Signals, newest first, looked at anew every {seconds:g} seconds; choose one to see its life"
    return html.Div(
        [
            html.P(_counted(found), id="signals-count", className="note"),
            grid("signals-rows", found.rows, caption, titles=_TITLES, key="id", filters=True),
        ]
    )


def _counted(found: looks.LiveSignals) -> str:
    if found.rows.is_empty():
        return "No signal to buy or sell is stored that agrees with these filters; HOLD is counted and not stored."
    more = f" The {looks.MOST} newest were looked at; there are older ones." if found.more else ""
    return f"{found.rows.height} signals.{more}"


def _groupings() -> Component:
    choice = dcc.Dropdown(
        [{"label": word, "value": name} for name, word in _GROUPED.items()], "band", id="signals-by", clearable=False
    )
    return html.Div(ui.field("Told apart", choice), className="fields")


def life(told: Mapping[str, Any]) -> Component:
    """One signal: its odds, reasons, levels, and everything that happened to it."""
    odds = ", ".join(f"{call} {share:.1%}" for call, share in told["probabilities"].items())
    cards = {
        "Confidence": (f"{told['confidence']:.1%}", odds),
        "Price": (
            f"{told['price']:,.2f}",
            f"target {_number(told['target_price'])}, stop {_number(told['stop_loss'])}",
        ),
        "Size": ("–" if told["position_size"] is None else f"{told['position_size']:.2%}", "of the account"),
        "Status": (told["status"], f"valid until {told['expires_at'][:16].replace('T', ' ')} UTC"),
    }
    outcome = {name: each for name, each in (told["outcome"] or {}).items() if each is not None}
    came = ", ".join(f"{name.replace('_', ' ')} {_plain(each)}" for name, each in outcome.items())
    events = pl.DataFrame([{name: _plain(each[name]) for name in _EVENTS} for each in told["events"]])
    made_of = ", ".join(f"{name} {value}" for name, value in told["made_of"].items())
    parts = [
        ui.cards(cards),
        html.P(f"Made {told['created_at'][:16].replace('T', ' ')} UTC by {told['model_version']}."),
        html.Ul([html.Li(each) for each in told["reasoning"]]) if told["reasoning"] else ui.note("It tells no reason."),
        *([ui.note("Not heard in the vote: " + " ".join(told["missing"]))] if told["missing"] else []),
        ui.note(f"Outcome: {came}." if came else "Its outcome is not known yet; `openbell signals track` joins it."),
        ui.table("signals-events", events, "What happened to it"),
        _shown(told["features"]),
        ui.note(f"Made of: {made_of}.") if made_of else None,
        _ending(told),
    ]
    title = f"Signal {told['id']}: {told['signal_type']} {told['symbol']}"
    return ui.section(title, *(each for each in parts if each is not None))


def _plain(value: Any) -> str:
    """A value of a record for the eye: four digits, and a moment to the minute."""
    if isinstance(value, float):
        return f"{value:,.4g}"
    moment = isinstance(value, str) and len(value) > 16 and value[10:11] == "T"
    return "–" if value is None else f"{value[:16].replace('T', ' ')} UTC" if moment else str(value)


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:,.2f}"


def _shown(features: Mapping[str, float | None]) -> Component | None:
    if not features:
        return None
    frame = pl.DataFrame({"feature": list(features), "value": list(features.values())},
                         schema={"feature": pl.String, "value": pl.Float64})  # fmt: skip
    table = ui.table("signals-features", frame, "The features at that moment", numbers=("value",))
    return html.Details([html.Summary(f"The {frame.height} features that it was shown"), table])


def _ending(told: Mapping[str, Any]) -> Component | None:
    """The way to cancel; only what is active can be."""
    if told["status"] != Status.ACTIVE.value:
        return None
    why = dcc.Input(id="signals-why", value="", placeholder="why it is not to be acted on", maxLength=300)
    return html.Div(
        [
            ui.field("Reason, kept in the audit", why),
            html.Button("Cancel this signal", id="signals-cancel", n_clicks=0, className="danger"),
            html.P(id="signals-cancelled", role="status"),
        ],
        className="fields",
    )


def worth(found: Any, by: str) -> list[Component]:
    """Shares with intervals and base rates, told apart by one thing; and how sure was how right."""
    counts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in found.counts.items() if count)
    notes = [ui.note(each) for each in found.notes]
    table = looks.groups(found, by).select(_WORTH)
    if not counts:
        return [ui.empty("No signal is stored yet, so there is nothing to judge.", "openbell run signals --store")]
    shown: list[Component] = [ui.note(f"{counts}."), *notes]
    if table["known"].sum():
        shown.append(
            ui.figure("signals-shares", figures.shares(table), "Share of signals whose class came true, 95 % interval; "
                      "beside it what chance alone would reach (the base rate) and what was said. n below each.")
        )  # fmt: skip
        said = found.calibration
        told = "" if said.value is None else (
            f" Calibration error {said.value:.3f} (95 % {_bound(said.low)} to {_bound(said.high)}); true probabilities "
            f"would show {found.calibration_by_chance or 0.0:.3f} by chance."
        )  # fmt: skip
        shown.append(ui.figure("signals-reliability", figures.reliability(found.reliability),
                               "How often the called class came true over how sure the signal was, n in the label of "
                               f"each point.{told}"))  # fmt: skip
    caption = f"Signals {_GROUPED[by]}: shares with their 95 % intervals, returns of BUYs and SELLs after costs"
    numbers = [name for name, kind in table.schema.items() if kind.is_numeric()]
    plain = table.rename({name: name.replace("_", " ") for name in table.columns})
    return [*shown, ui.table("signals-groups", plain, caption, numbers=[each.replace("_", " ") for each in numbers])]


def _bound(value: float | None) -> str:
    return "?" if value is None else f"{value:.3f}"


def half_lives(lab: Lab) -> Component:
    """How long what a call knows lasts, by model."""
    try:
        frame, session = looks.decay(lab.open_home(), lab.now())
    except DataMissing as missing:
        return ui.note(str(missing))
    caption = f"Half-life of what a call knows, by the training of {session}; none where no decay was measured"
    return ui.table("signals-decay", frame, caption, numbers=("half_life_hours",))


def register(app: Dash, lab: Lab) -> None:
    """Add the callbacks."""

    @app.callback(
        Output("signals-rows", "rowData"),
        Output("signals-count", "children"),
        Output(QUERY, "data", allow_duplicate=True),
        Input("signals-again", "n_intervals"),
        Input("signals-symbol", "value"),
        Input("signals-status", "value"),
        Input("signals-chosen", "data"),
        prevent_initial_call=True,
    )
    def show(_: int, symbols: str, statuses: list[str] | None, chosen: int | None) -> Any:
        found = looks.live(lab.open_home(), lab.now(), symbols=words(symbols), statuses=statuses or ())
        query = {"symbol": ",".join(words(symbols)), "status": ",".join(statuses or ()), "id": chosen}
        told = no_update if ctx.triggered_id == "signals-again" else query
        return rows(found.rows), _counted(found), told

    @app.callback(Output("signals-chosen", "data"), Input("signals-rows", "selectedRows"), prevent_initial_call=True)
    def choose(chosen: list[dict[str, Any]] | None) -> Any:
        return chosen[0]["id"] if chosen else no_update

    @app.callback(Output("signals-life", "children"), Input("signals-chosen", "data"))
    def show_life(id: int | None) -> Any:
        return no_update if id is None else life(looks.life(lab.open_home(), id, lab.now()))

    @app.callback(Output("signals-worth", "children"), Input("signals-by", "value"))
    def show_worth(by: str) -> list[Component]:
        if by not in _GROUPED:
            raise BadInput(f"Signals are not told apart by `{str(by)[:40]}`. Valid are: {', '.join(_GROUPED)}.")
        return [*worth(looks.analytics(lab.open_home(), lab.now()), by), half_lives(lab)]

    _register_cancel(app, lab)


def _register_cancel(app: Dash, lab: Lab) -> None:
    @app.callback(
        Output("signals-sure", "displayed"),
        Output("signals-sure", "message"),
        Input("signals-cancel", "n_clicks"),
        State("signals-why", "value"),
        State("signals-chosen", "data"),
        prevent_initial_call=True,
    )
    def ask(clicks: int, why: str | None, id: int) -> Any:
        if not clicks:
            return no_update, no_update
        if not (why or "").strip():
            raise BadInput("A signal is cancelled for a reason. Say it in words in the field beside the button.")
        return True, f"Cancel signal {id}? It cannot be made active again. Reason: {(why or '').strip()}"

    @app.callback(
        Output("signals-life", "children", allow_duplicate=True),
        Input("signals-sure", "submit_n_clicks"),
        State("signals-why", "value"),
        State("signals-chosen", "data"),
        prevent_initial_call=True,
    )
    def cancel(clicks: int | None, why: str | None, id: int) -> Any:
        if not clicks:
            return no_update
        said = looks.cancel(lab.open_home(), id, why or "", lab.now(), by=f"lab: {who()}")
        return [html.P(said, role="status"), life(looks.life(lab.open_home(), id, lab.now()))]


PAGE = Page(
    name="signals",
    title="Signals",
    order=50,
    about="Signals as they stand now, what happened to each, and what all of them were worth beside chance.",
    layout=layout,
    register=register,
)
