"""Options: chains and what is fitted to them, the payoff of a structure, and what the desk proposed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import polars as pl
from dash import Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from openbell.app.lab import ui
from openbell.app.lab.entries import day, number, words
from openbell.app.lab.figures import options as figures
from openbell.app.lab.grids import grid
from openbell.app.lab.looks import options as looks
from openbell.app.lab.looks.journal import whole_record
from openbell.app.lab.page import Lab, Page
from openbell.core.errors import BadInput, DataMissing
from openbell.quant.structures import STRUCTURES

IMPORT = "openbell data import chain FILE"
_SIDES = {"open_interest": "open int."}


def layout(lab: Lab, query: Mapping[str, str]) -> Component:
    """The page; ``underlying`` and ``session`` of the query choose the chain."""
    return html.Div(
        [
            ui.section("Chain", *_chain(lab, query)),
            ui.section("Payoff of a structure", _form(lab, query), _waiting("options-priced")),
            ui.section("What the desk proposed", *_proposals(lab)),
        ]
    )


def _waiting(id: str) -> Component:
    return dcc.Loading(html.Div(id=id, role="status"), type="dot")


def _chain(lab: Lab, query: Mapping[str, str]) -> list[Component]:
    from openbell.app.chains import stored_chains

    stored = stored_chains(lab.open_home())
    if stored.is_empty():
        return [ui.empty("No option chain is stored yet, so prices come from the modelled surface alone.", IMPORT)]
    names = stored["underlying"].to_list()
    underlying = query.get("underlying", "").upper()
    chosen = underlying if underlying in names else names[0]
    numbers = [name for name, kind in stored.schema.items() if kind.is_numeric()]
    return [
        html.Details(
            [
                html.Summary(f"What is stored: sessions {stored['sessions'].sum():,}, underlyings {stored.height}"),
                ui.table("options-stored", stored, "Stored chains by underlying", numbers=numbers),
            ]
        ),
        html.Div(
            [
                ui.field("Underlying", dcc.Dropdown(names, chosen, id="options-underlying", clearable=False)),
                ui.field("Session", dcc.Dropdown(id="options-session", clearable=False)),
                ui.field("Expiry", dcc.Dropdown(id="options-slice", clearable=False)),
            ],
            className="fields",
        ),
        dcc.Store(id="options-wanted", data=query.get("session")),
        _waiting("options-chain"),
        _waiting("options-smile"),
    ]


def _form(lab: Lab, query: Mapping[str, str]) -> Component:
    """The fields of `openbell options price`, filled with the legs of the newest proposal where there is one."""
    told = {**_newest(lab), **query}

    def text(name: str, placeholder: str) -> Component:
        return dcc.Input(id=f"options-{name}", value=told.get(name, ""), placeholder=placeholder)

    structure = dcc.Dropdown(
        list(STRUCTURES), told.get("structure") or "IRON_CONDOR", id="options-structure", clearable=False
    )
    return html.Div(
        [
            html.Div(
                [
                    ui.field("Underlying", text("of", "SPX")),
                    ui.field("Structure", structure),
                    ui.field("Strikes", text("strikes", "4300, 4350, 4650, 4700")),
                    ui.field("Expiry, or near and far", text("expiries", "2023-10-20")),
                    ui.field("Session decided for", text("as-of", "the one after the last bars")),
                    ui.field("Spot, points", text("spot", "of the chain or the bars")),
                    ui.field("One volatility for all legs", text("iv", "of the chain or the surface")),
                    ui.field("Premium paid, points", text("premium", "at the quotes; below 0: received")),
                ],
                className="fields",
            ),
            html.Div(html.Button("Price it", id="options-price", n_clicks=0, className="primary"), className="buttons"),
            ui.note(
                "Prices are those of the close before the session: stated ones, else the stored chain's, else the "
                "modelled surface's, which the answer then says. As `openbell options price`."
            ),
        ]
    )


def _newest(lab: Lab) -> dict[str, str]:
    """The newest proposal with legs as fields of the form."""
    home = lab.open_home()
    try:
        rows = looks.proposals(home, 5).drop_nulls("structure")
    except DataMissing:
        return {}
    for row in rows.iter_rows(named=True):
        legs = looks.legs_of(whole_record(home, row["record"]))
        if legs.height:
            return _as_fields(row, legs)
    return {}


def _as_fields(row: Mapping[str, Any], legs: pl.DataFrame) -> dict[str, str]:
    strikes = legs["strike"].unique(maintain_order=True)
    # Of a diagonal the bought strike comes first; of the others the order says nothing.
    bought = legs.filter(pl.col("ratio") > 0)["strike"].to_list()
    ordered = sorted(strikes.to_list(), key=lambda each: (each not in bought, each))
    return {
        "of": row["underlying"],
        "structure": row["structure"],
        "strikes": ", ".join(f"{each:g}" for each in ordered),
        "expiries": ", ".join(legs["expiry"].unique().sort().to_list()),
        "as-of": row["session"],
    }


def _proposals(lab: Lab) -> list[Component]:
    home = lab.open_home()
    command = "openbell run options --underlying SPX"
    try:
        rows = looks.proposals(home)
    except DataMissing as missing:
        return [ui.empty(str(missing), command)]
    if rows.is_empty():
        return [ui.empty("The options desk has decided nothing yet.", command)]
    caption = (
        "The last decisions, newest first: win rate and return on similar days with n, effective n and the interval "
        "from low to high; choose one to see its legs and days"
    )
    return [grid("options-proposals", rows, caption, key="record", digits=3), _waiting("options-proposal")]


def chain_grid(found: looks.DayChain, expiry: dt.date, root: str, settlement: str) -> list[Component]:
    """Calls, strike and puts of one expiry, and what is to know of the chain."""
    rows = looks.by_strike(found.rows, expiry, root, settlement)
    spot = found.rows["spot"].drop_nulls()
    source = found.rows["source"].drop_nulls().unique().sort().to_list()
    told = f"Quotes of {found.quote_at:%Y-%m-%d %H:%M} UTC from {', '.join(source)}" + (
        f", spot {spot[0]:,.2f} as the source says." if spot.len() else "; the source tells no spot."
    )
    names = {f"{side}_{name}": _SIDES.get(name, name) for side in ("call", "put") for name in looks.SIDES}
    caption = f"{rows.height} strikes of {found.underlying} for {expiry} ({root}, {settlement}), volatilities are ours"
    groups = [(side, [f"{side.split()[0].lower()}_{name}" for name in looks.SIDES]) for side in ("Call", "Put")]
    table = grid(
        "options-grid", rows, caption, titles=names, groups=[groups[0], ("Strike", ["strike"]), groups[1]], shown=14
    )
    modelled = [html.P(html.Span("modelled quotes", className="badge warn"))] if found.modelled else []
    return [*modelled, ui.note(told), *(ui.note(each) for each in found.notes), table]


def _nearest(rows: pl.DataFrame, found: looks.DayChain) -> int | None:
    """The place of the strike nearest to where the underlying stands, by its forwards or as the source says."""
    middle = found.rows.select(pl.coalesce(pl.col("forward").median(), pl.col("spot").median())).item()
    return None if middle is None or rows.is_empty() else int((rows["strike"] - middle).abs().arg_min() or 0)


def smile_figure(lab: Lab, found: looks.DayChain, expiry: dt.date, root: str, settlement: str) -> list[Component]:
    """The smile of one expiry with its own fit and the surface's, and how well they fit."""
    points = looks.smile_points(found, expiry, root, settlement)
    if points.is_empty():
        return [ui.note("No quote of this expiry has a volatility, so there is no smile.")]
    fitted = looks.fits(lab.open_home(), found)
    curves = looks.smile_curves(fitted, expiry, root, settlement, points["strike"])
    here = (pl.col("expiry") == expiry) & (pl.col("root") == root) & (pl.col("settlement") == settlement)
    row = fitted.smiles.filter(here).row(0, named=True)
    told = row["reason"] or (
        f"SVI through {row['strikes']} strikes, {100 * row['error']:.2f} points of volatility off (root mean square); "
        f"{row['inside']:.0%} of the quotes hold it between bid and ask."
    )
    whole = fitted.no_surface or (
        f"SSVI surface of {fitted.surface.quotes:,} quotes, {100 * fitted.surface.error:.2f} points off."
        if fitted.surface
        else ""
    )
    spot = row["forward"] if fitted.surface is None else fitted.surface.spot
    label = f"Implied volatility over strikes, bars from bid to ask, n {points.height} quotes out of the money. "
    return [ui.figure("options-smile-figure", figures.smile(points, curves, float(spot)), f"{label}{told} {whole}")]


def priced(found: Any) -> list[Component]:
    """A priced structure: payoff, Greeks, and the sentences of the command."""
    from openbell.app.options_price_words import lines_of, table_of, title_of

    density, past = found.density, found.history
    usd = found.multiplier
    cards = {
        "Profit probable": (f"{density.probability_of_profit:.1%}", f"under the prices; expected {_usd(density, usd)}"),
        "On past windows": ("–", found.no_history)
        if past is None
        else (f"{past.probability_of_profit:.1%}", _interval(past)),
        "Most it can make": (_bound(found.profile.max_profit, found.profile.max_profit_unlimited, usd), "at expiry"),
        "Most it can lose": (_bound(found.profile.max_loss, found.profile.max_loss_unlimited, usd), "at expiry"),
        "Margin": (f"{found.margin.total_usd:,.0f} USD", "Reg T"),
    }
    curves, expiry = looks.payoff_curves(found), str(found.legs.expiry.min())
    where = ", ".join(f"{each:,.2f}" for each in found.profile.breakevens) or "nowhere"
    label = f"Profit of one unit over the price of the underlying, now and at {expiry}; it breaks even at {where}."
    modelled = [html.Span("modelled", className="badge warn"), " "] if found.market.modelled else []
    return [
        html.P([*modelled, title_of(found)], className="headline"),
        ui.cards(cards),
        ui.figure("options-payoff", figures.payoff(curves, found.market.spot, found.profile.breakevens, expiry), label),
        ui.table("options-legs", table_of(found), "Value and Greeks of each leg and of the position"),
        html.Ul([html.Li(each) for each in lines_of(found)]),
    ]


def _usd(odds: Any, usd: float) -> str:
    return f"{odds.expected_value * usd:+,.0f} USD"


def _interval(odds: Any) -> str:
    low, high = odds.probability_interval or (None, None)
    bounds = "" if low is None else f"95 % {low:.0%} to {high:.0%}, "
    return f"{bounds}n {odds.n:,} overlapping, {odds.effective_n:.0f} independent"


def _bound(points: float, unlimited: bool, usd: float) -> str:
    return "no bound" if unlimited else f"{points * usd:,.0f} USD"


def proposal(lab: Lab, seq: int) -> list[Component]:
    """One decision of the desk: why, its legs, and the similar days that it was simulated on."""
    home = lab.open_home()
    found = whole_record(home, seq)
    reasons = html.Ul([html.Li(str(each)) for each in found.payload["why"]])
    made: list[Component] = [html.H3(f"Record {seq}, for {found.payload['session']}"), reasons]
    legs = looks.legs_of(found)
    if legs.height:
        made.append(
            ui.table("options-proposed-legs", legs, "Its legs at the quotes of the decision", numbers=("ratio",))
        )
    try:
        days = looks.similar_days(home, found)
    except DataMissing as missing:
        return [*made, ui.note(str(missing))]
    if days.is_empty():
        return [*made, ui.note("No similar day was found for this decision.")]
    if "return_on_risk" in days.columns and days["return_on_risk"].count():
        known = days.drop_nulls("return_on_risk")
        won = int((known["return_on_risk"] > 0).sum())
        label = (
            f"What the chosen contracts made on each of {known.height} similar days, over how unlike today each was: "
            f"{won} won. Days overlap, so they count for fewer: effective n {_effective(found)}."
        )
        made.append(ui.figure("options-similar-figure", figures.similar(known), label))
    caption = f"The {days.height} similar past days, nearest first, with the state of their market"
    return [*made, grid("options-similar", days, caption, digits=3)]


def _effective(found: Any) -> str:
    value = found.payload["details"].get("statistics", {}).get("effective_n")
    return "not known" if value is None else f"{value:.1f}"


def _sliced(text: str | None) -> tuple[dt.date, str, str]:
    """What a choice of the expiry stands for."""
    parts = (text or "").split("|")
    if len(parts) != 3:
        raise BadInput(f"`{(text or '')[:40]}` is no expiry of this chain. Choose one of the list.")
    expiry = day(parts[0], "the expiry")
    assert expiry is not None
    return expiry, parts[1], parts[2]


def register(app: Dash, lab: Lab) -> None:
    """Add the callbacks."""

    @app.callback(
        Output("options-session", "options"),
        Output("options-session", "value"),
        Input("options-underlying", "value"),
        State("options-wanted", "data"),
    )
    def sessions(underlying: str, wanted: str | None) -> Any:
        found = [str(each) for each in looks.sessions_of(lab.open_home(), underlying)]
        return found, wanted if wanted in found else found[0]

    @app.callback(
        Output("options-slice", "options"),
        Output("options-slice", "value"),
        Input("options-session", "value"),
        State("options-underlying", "value"),
        prevent_initial_call=True,
    )
    def slices(session: str, underlying: str) -> Any:
        found = _day(lab, underlying, session).slices
        choices = [
            {"label": f"{expiry} {root} {settlement} ({n})", "value": f"{expiry}|{root}|{settlement}"}
            for expiry, root, settlement, n in found.iter_rows()
        ]
        # The first expiry is often that of the same day, which has no smile.
        later = found.with_row_index("at").filter(pl.col("expiry") > dt.date.fromisoformat(session) + dt.timedelta(20))
        return choices, choices[int(later["at"][0]) if later.height else 0]["value"]

    @app.callback(
        Output("options-chain", "children"),
        Input("options-slice", "value"),
        State("options-session", "value"),
        State("options-underlying", "value"),
        prevent_initial_call=True,
    )
    def show_chain(chosen: str | None, session: str, underlying: str) -> Any:
        return no_update if chosen is None else chain_grid(_day(lab, underlying, session), *_sliced(chosen))

    @app.callback(
        Output("options-smile", "children"),
        Input("options-slice", "value"),
        State("options-session", "value"),
        State("options-underlying", "value"),
        prevent_initial_call=True,
    )
    def show_smile(chosen: str | None, session: str, underlying: str) -> Any:
        return no_update if chosen is None else smile_figure(lab, _day(lab, underlying, session), *_sliced(chosen))

    @app.callback(
        Output("options-proposal", "children"), Input("options-proposals", "selectedRows"), prevent_initial_call=True
    )
    def show_proposal(chosen: list[dict[str, Any]] | None) -> Any:
        return proposal(lab, int(chosen[0]["record"])) if chosen else no_update

    _register_price(app, lab)


def _day(lab: Lab, underlying: str, session: str) -> looks.DayChain:
    at = day(session, "the session")
    if at is None:
        raise BadInput("Choose a session of the list first.")
    return looks.day_chain(lab.open_home(), underlying, at, lab.now())


def _register_price(app: Dash, lab: Lab) -> None:
    fields = ("of", "structure", "strikes", "expiries", "as-of", "spot", "iv", "premium")

    @app.callback(
        Output("options-priced", "children"),
        Input("options-price", "n_clicks"),
        *(State(f"options-{name}", "value") for name in fields),
        prevent_initial_call=True,
    )
    def price_it(
        clicks: int, of: str | None, structure: str, strikes: str, expiries: str, as_of: str, spot: str, iv: str,
        premium: str,
    ) -> Any:  # fmt: skip
        if not clicks:
            return no_update
        from openbell.app.options_price import Asked, price

        if not (of or "").strip():
            raise BadInput("Say which underlying the structure is on, such as SPX.")
        asked = Asked(
            underlying=(of or "").strip().upper(),
            structure=structure,
            strikes=tuple(each for word in words(strikes) if (each := number(word, "a strike")) is not None),
            expiries=tuple(each for word in words(expiries) if (each := day(word, "an expiry")) is not None),
            as_of=day(as_of, "the session"),
            spot=number(spot, "the spot"),
            iv=number(iv, "the volatility"),
            premium=number(premium, "the premium"),
        )
        return priced(price(asked, lab.open_home()))


PAGE = Page(
    name="options",
    title="Options",
    order=30,
    about="Option chains with their smiles, the payoff and odds of a structure, and what the options desk proposed.",
    layout=layout,
    register=register,
)
