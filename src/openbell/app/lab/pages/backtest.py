"""Back-test: what following a desk would have earned after costs, beside what stood beside it; two laid together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dash import Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component

from openbell.app.backtests import SHOWN, Kept
from openbell.app.lab import ui
from openbell.app.lab.figures import backtest as figures
from openbell.app.lab.grids import grid
from openbell.app.lab.looks import backtest as looks
from openbell.app.lab.page import Lab, Page
from openbell.app.lab.urls import QUERY, path
from openbell.core.errors import BadInput, DataMissing, OpenbellError

#: The slider of costs: how far it goes beyond those on record, and at least, bp of each side.
BEYOND, LEAST_BP, STEP_BP = 4.0, 10.0, 0.5


def layout(lab: Lab, query: Mapping[str, str]) -> Component:
    """The page; `query` may name the ``id`` of a back-test, a ``desk``, and ``beside``, the id of another."""
    home, said = lab.open_home(), []
    try:
        found = looks.listed(home)
    except DataMissing as missing:
        command = "openbell backtest session"
        return html.Div([ui.empty(f"{missing} Train a desk, then follow what it said.", command),
                         html.Div(dcc.Link("Train a desk", href=path("training"), className="button"),
                                  className="buttons")])  # fmt: skip
    of_desk = [each for each in found if each.payload["desk"] == query.get("desk")]
    if query.get("desk") and not of_desk:
        said.append(html.P(f"There is no back-test of the desk `{query['desk'][:40]}` on record.", className="warn"))
    try:
        kept = looks.chosen(of_desk or found, query.get("id", ""))
        other = looks.chosen(found, query["beside"]).key if query.get("beside") else None
    except BadInput as failure:
        said.append(html.P(str(failure), className="warn", role="status"))
        kept, other = found[0], None
    options = [{"label": looks.words(each), "value": each.key} for each in found]
    return html.Div(
        [
            ui.section(
                "Which back-test",
                *said,
                html.Div(
                    [
                        ui.field(
                            f"Back-tests on record, the newest first ({len(found)})",
                            dcc.Dropdown(options, kept.key, id="backtest-id", clearable=False),
                        ),
                        ui.field(
                            "Beside (empty: none)",
                            dcc.Dropdown(options, other, id="backtest-beside", placeholder="another back-test"),
                        ),
                    ],
                    className="columns",
                ),
            ),
            html.Div(_compared(lab, kept.key, other), id="backtest-compared"),
            html.Div(_found(lab, kept), id="backtest-found"),
        ]
    )


def _found(lab: Lab, kept: Kept) -> list[Component]:
    try:
        found = looks.one(kept)
    except OpenbellError as failure:
        return [ui.empty(str(failure))]
    told = kept.payload
    head, _, rest = found.verdict.rstrip(".").partition(": ")
    return [
        html.Div(
            [
                ui.section(
                    f"{told['desk']}: {told['name']}",
                    html.P(f"{head}.", className="headline"),
                    html.P(rest),
                    *_made_up(told),
                    ui.cards(_cards(told)),
                    html.Details(
                        [html.Summary(f"{len(found.notes)} notes"), html.Ul([html.Li(each) for each in found.notes])]
                    ),
                ),
                _drawn(found),
                _measured(found),
                _costs(kept),
                _groups(found),
                _trades(found),
                _made_of(lab, kept),
            ],
            className="stack",
        )
    ]


def _made_up(told: Mapping[str, Any]) -> list[Component]:
    word = told.get("made_up") or ("modelled" if told.get("modelled") else "")
    if not word:
        return []
    return [html.P([f"Prices were {word}: this says nothing about any real market. ",
                    html.Span(word, className="badge warn")])]  # fmt: skip


def _cards(told: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    def said(name: str, form: str) -> tuple[str, str]:
        value, low, high = told.get(name), told.get(f"{name}_low"), told.get(f"{name}_high")
        if value is None:
            return "–", "nothing to measure"
        beside = "" if low is None else f"95 % {low:{form}} to {high:{form}}"
        return f"{value:{form}}", beside or "no interval"

    sharpe, won = said("sharpe", "+.2f"), said("win_rate", ".1%")
    luck = told.get("deflated")
    many = f"{told['tries']:,} {'try' if told['tries'] == 1 else 'tries'}"
    return {
        "Total return": (said("total_return", "+.1%")[0], f"{told['sessions']:,} sessions after costs"),
        "Sharpe ratio": (sharpe[0], f"{sharpe[1]}; chance 0"),
        "Worst drawdown": (said("max_drawdown", ".1%")[0], "from its highest"),
        f"Won, of {told['win_of']}": (won[0], won[1]),
        "Trades": ("–" if told["trades"] is None else f"{told['trades']:,}",
                   "" if told["cost_usd"] is None else f"{told['cost_usd']:,.0f} USD of costs"),
        "More than luck": ("–" if luck is None else f"{luck:.0%}", f"deflated Sharpe ratio, {many}"),
    }  # fmt: skip


def _drawn(found: looks.Found) -> Component:
    n = f"n = {found.kept.payload['sessions']:,} sessions"
    return ui.section(
        "The account, and what stood beside it",
        ui.figure("backtest-growth", figures.growth(found.curves), f"What 1 became after costs, out of sample; {n}."),
        ui.figure(
            "backtest-underwater",
            figures.underwater(looks.drawdowns(found.curves)),
            f"Drawdown: how far each lay below its highest so far; {n}.",
        ),
    )


def _measured(found: looks.Found) -> Component:
    told = found.kept.payload
    caption = (
        f"Measures with their 95 % intervals (blocks of sessions resampled); n = {told['sessions']:,} sessions, "
        f"{told['tries']:,} tries. The win rate of the account counts {told['win_of']}, of the others sessions"
    )
    parts = [ui.table("backtest-measures", found.measures, caption)]
    if found.of_trades.height:
        parts.append(ui.table("backtest-of-trades", found.of_trades, "Measures of the trades", numbers=("n",)))
    return ui.section("Measures", *parts)


def _costs(kept: Kept) -> Component:
    reason = looks.why_not(kept)
    if reason is not None:
        return ui.section("Other costs", ui.note(reason))
    own = looks.recorded_bp(kept) or 0.0
    most = max(BEYOND * own, LEAST_BP)
    slider = dcc.Slider(
        0, most, STEP_BP, value=own, id="backtest-bp", marks={0: "0", own: f"{own:g} on record", most: f"{most:g}"},
        tooltip={"placement": "bottom"}, allow_direct_input=True,
    )  # fmt: skip
    parts: list[Component] = [
        html.Div(
            [html.Span("Cost of each side, bp of what is traded", id="backtest-bp-label", className="label"), slider],
            className="field", role="group", **{"aria-labelledby": "backtest-bp-label"},
        ),
        html.Div(id="backtest-recosted", className="stack"),
    ]  # fmt: skip
    if "by_costs" in kept.payload["evidence"]:
        rows = kept.frame("by_costs")
        label = "Sharpe ratio of the account at multiples of the costs on record, with its 95 % interval."
        parts.append(ui.figure("backtest-by-costs", figures.by_costs(rows), label))
    return ui.section("Other costs", *parts)


def _recosted(lab: Lab, kept: Kept, bp: float) -> list[Component]:
    try:
        again = looks.recosted(lab.open_home(), kept, bp)
    except DataMissing as missing:
        return [ui.note(str(missing))]
    curves = looks.one(kept).curves.select("session", looks.ACCOUNT)
    name = f"at {again.bp:g} bp"
    both = curves.rename({looks.ACCOUNT: f"on record, {again.recorded_bp:g} bp"}).join(
        again.curve.rename({looks.ACCOUNT: name}), on="session", how="left", maintain_order="left"
    )
    return [
        ui.table("backtest-recosted-table", again.table, "The account on record, and at these costs"),
        ui.figure("backtest-recosted-growth", figures.growth(both), f"What 1 became at other costs. {again.about}"),
    ]


def _groups(found: looks.Found) -> Component:
    if not found.groups:
        return ui.section("Per regime", ui.note("The record of this desk tells nothing apart by regime."))
    parts: list[Component] = []
    for name, rows in found.groups.items():
        shown = ui.table(f"backtest-by-{name}", rows, f"By {name.replace('_', ' ')}; 95 % intervals of whole sessions")
        parts.append(shown if name == "regime" else html.Details([html.Summary(f"By {name}"), shown]))
    if "regime" not in found.groups:
        parts.insert(0, ui.note("The record of this desk tells nothing apart by regime."))
    return ui.section("Per regime" if "regime" in found.groups else "Told apart", *parts)


def _trades(found: looks.Found) -> Component:
    if found.trades is None:
        return ui.section("Trades", ui.note(found.no_trades))
    if found.trades.is_empty():
        return ui.section("Trades", ui.note("Nothing was traded."))
    caption = f"{found.trades.height:,} rows, each sorted and filtered by its heading. {found.no_trades}".strip()
    return ui.section("Trades", grid("backtest-trades", found.trades, caption, filters=True))


def _made_of(lab: Lab, kept: Kept) -> Component:
    made = kept.payload["made_of"]
    rows = [html.Li([html.Strong(f"{name}: "), html.Code(str(value))]) for name, value in made.items()]
    ways = []
    if made.get("training"):
        ways.append(dcc.Link("The training that it follows", className="button",
                             href=path("evaluation", training=made["training"][:16])))  # fmt: skip
    return ui.section("Made of", html.Ul([html.Li([html.Strong("id: "), html.Code(kept.key)]), *rows]),
                      html.Div(ways, className="buttons"))  # fmt: skip


def _compared(lab: Lab, key: str, other: str | None) -> list[Component]:
    """Two back-tests on what they share, where another one is chosen."""
    if not other:
        return []
    home = lab.open_home()
    found = looks.listed(home)
    try:
        both = looks.beside(home, looks.chosen(found, key), looks.chosen(found, other))
    except BadInput as failure:
        return [ui.section("Side by side", ui.note(str(failure)))]
    parts: list[Component] = []
    if both.curves.height:
        label = f"Both 1 at the first mark that they share; n = {both.curves.height - 1:,} sessions."
        parts.append(ui.figure("backtest-both", figures.growth(both.curves), label))
    parts += [
        ui.table(f"backtest-compared-{at}", rows, title or "Both on their own spans")
        for at, (title, rows) in enumerate(both.found.told())
        if title != "Made of"
    ]
    notes = html.Ul([html.Li(each) for each in both.found.notes])
    return [ui.section("Side by side", *parts, *([notes] if both.found.notes else []))]


def register(app: Dash, lab: Lab) -> None:
    """Callbacks of the page."""

    def kept_of(key: str | None) -> Kept:
        return looks.chosen(looks.listed(lab.open_home()), str(key or ""))

    @app.callback(Output("backtest-found", "children"), Input("backtest-id", "value"), prevent_initial_call=True)
    def show(key: str | None) -> list[Component]:
        return _found(lab, kept_of(key))

    @app.callback(
        Output("backtest-compared", "children"),
        Output(QUERY, "data", allow_duplicate=True),
        Input("backtest-id", "value"),
        Input("backtest-beside", "value"),
        prevent_initial_call=True,
    )
    def lay_beside(key: str, other: str | None) -> tuple[list[Component], dict[str, str]]:
        query = {"id": key[:SHOWN], **({"beside": other[:SHOWN]} if other else {})}
        return _compared(lab, key, other), query

    @app.callback(Output("backtest-recosted", "children"), Input("backtest-bp", "value"), State("backtest-id", "value"))
    def show_costs(bp: float | None, key: str) -> list[Component]:
        kept = kept_of(key)
        if bp is None:
            raise BadInput("Say what each side is to cost, in basis points of what is traded.")
        return _recosted(lab, kept, float(bp))


PAGE = Page(
    "backtest",
    "Back-test",
    34,
    "What following a desk would have earned after costs, out of sample, beside what stood beside it.",
    layout,
    register,
)
