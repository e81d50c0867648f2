"""The gate: an order as it is written, how it was read, its odds and the verdict; and how its models stood."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
from dash import Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from openbell.app import gate_words, parsing
from openbell.app.lab import ui
from openbell.app.lab.entries import number
from openbell.app.lab.figures import gate as figures
from openbell.app.lab.looks import gate as looks
from openbell.app.lab.page import Lab, Page
from openbell.core.assessment import Answer, Assessment
from openbell.core.errors import DataMissing

#: An order, and a moment at which it was alive.
EXAMPLE_AT = "2026-03-26T10:30"
EXAMPLE = "BUY +1 BUTTERFLY SPX 100 27 MAR 26 6455/6405/6355 PUT @14.25"
_TONES = {Answer.ACCEPT: "gain", Answer.REDUCE: "warn", Answer.REFUSE: "loss"}


def layout(lab: Lab, query: Mapping[str, str]) -> Component:
    """The page; what was asked before stands in the query as ``order`` and ``as_of``."""
    return html.Div(
        [
            ui.section("Ask", _form(query), dcc.Loading(html.Div(id="gate-answer", role="status"), type="dot")),
            ui.section("How its models stood", dcc.Loading(html.Div(id="gate-standing"), type="dot"), id="gate-record"),
        ]
    )


def _form(query: Mapping[str, str]) -> Component:
    order = dcc.Textarea(
        id="gate-order", value=query.get("order", ""), placeholder=EXAMPLE, maxLength=looks.LONGEST_TEXT, rows=4
    )
    dialect = dcc.Dropdown(list(looks.DIALECTS), "auto", id="gate-dialect", clearable=False)
    as_of = dcc.Input(id="gate-as-of", value=query.get("as_of", ""), placeholder="now, or 2025-05-22T10:35")
    price = dcc.Input(id="gate-price", value="", placeholder="the last one stored")
    volatility = dcc.Input(id="gate-volatility", value="", placeholder="the last one stored")
    return html.Div(
        [
            ui.field("Order, or a whole message, in any dialect", order),
            html.Div(
                [
                    ui.field("Dialect", dialect),
                    ui.field("As of (New York)", as_of),
                    ui.field("Price of the underlying, points", price),
                    ui.field("Volatility per year, such as 0.18", volatility),
                ],
                className="fields",
            ),
            html.Div(
                [
                    html.Button("Ask the gate", id="gate-ask", n_clicks=0, className="primary"),
                    html.Button("Take an example", id="gate-example", n_clicks=0),
                ],
                className="buttons",
            ),
            ui.note(
                "Answered from stored data alone, as `openbell odds` answers it. Nothing of it is stored or ordered."
            ),
        ]
    )


def answer(found: looks.Looked) -> list[Component]:
    """How the text was read, what was not, and the word of the gate on each order."""
    read, said = found.parsed, found.answered.said
    shown: list[Any] = [
        ui.note(f"As of {found.at:%Y-%m-%d %H:%M} UTC, read as {read.reading.dialect or 'no dialect'}.")
    ]
    shown += [_refused(read, each) for each in read.refusals]
    known = {(each.position, each.why) for each in read.refusals}
    later = [each for each in found.answered.refusals if (each.position, each.why) not in known]
    shown += [_refused(read, each) for each in later]
    if read.orders:
        count = len(read.orders)
        caption = f"How it was read: {count} order{'s' if count > 1 else ''}, one unit's risk and reward at expiry"
        shown.append(ui.table("gate-read", parsing.table_of(read), caption, numbers=("ratio",)))
        shown += [ui.note(each) for each in (*parsing.notes_of(read), parsing.foreseen(read)) if each]
    shown += [_assessed(place, each) for place, each in enumerate(said, start=1)]
    if not said and not read.refusals:
        shown.append(ui.empty(f"There is no order in this text. One looks like {EXAMPLE}"))
    return [html.Div(each) if isinstance(each, list) else each for each in shown]


def _refused(read: parsing.Parsed, refusal: Any) -> Component:
    line, column = read.place(refusal)
    return html.Div(
        [
            html.P([html.Span("not read", className="badge loss"), f" Line {line}, column {column}: {refusal.why}"]),
            html.Pre(html.Code(refusal.text), tabIndex=0, **{"aria-label": "The part that was not read"}),
        ],
        className="refusal",
    )


def _assessed(place: int, said: Assessment) -> Component:
    """One order: the verdict, the odds beside what they have to beat, every line of the command, and the reasons."""
    known = {
        "Odds of the model": (_share(said.win_probability), _beside_odds(said)),
        "Odds its price implies": (_share(said.price_probability), "the base rate: what the price says already"),
        "Fair at": (_share(said.fair_probability), f"reward over risk {_ratio(said.ratio)}"),
        "Expected after costs": (_usd(said.expected_value_usd, "not known"), "USD of the whole order"),
        "Most it can lose": (_usd(said.risk_usd, "no bound"), f"make: {_usd(said.reward_usd, 'no bound')}"),
    }
    verdict = html.Span(said.answer.value, className=f"badge {_TONES[said.answer]}")
    head = f"Order {place}: {said.strategy} on {said.symbol}"
    table = ui.table(f"gate-odds-{place}", gate_words.table_of(said), "Everything the gate says of it")
    return html.Div(
        [
            html.H3(head),
            html.P([verdict, said.why[0].removeprefix(said.answer.value)], className="headline"),
            ui.cards(known),
            html.Ul([html.Li(each) for each in said.why[1:]]),
            html.Details([html.Summary("Every figure"), table]),
        ],
        className="section",
        id=f"gate-order-{place}",
    )


def _beside_odds(said: Assessment) -> str:
    if said.win_probability is None:
        return "no model speaks"
    proven = "" if said.proven else ", which has never known more than the price"
    n = "" if said.effective_n is None else f", effective n {said.effective_n:,.0f}"
    return f"threshold {_share(said.threshold)}{n}, by {said.model_version}{proven}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _usd(value: float | None, otherwise: str) -> str:
    return otherwise if value is None else f"{value:,.0f} USD"


def _ratio(value: float | None) -> str:
    return "not known" if value is None else f"{value:.2f}"


def standing(training: Any) -> list[Component]:
    """How the models of a training stood out of sample: skill over the price, calibration, money."""
    from openbell.app.reports.gate import verdict

    scores = training.scores
    shown = scores.shown
    payload = training.payload
    made: list[Component] = [html.P(each) for each in verdict(scores, shown)]
    made.append(
        ui.note(
            f"Walk-forward of the training of {payload['session']}: {scores.trades:,} trades of {scores.days:,} days, "
            f"{scores.first} to {scores.last}{', ' + scores.modelled if scores.modelled else ''}."
        )
    )
    if shown is not None:
        made += _figures(scores, shown)
    models = looks.model_rows(training)
    numbers = [name for name, kind in models.schema.items() if kind.is_numeric()]
    plain = models.rename({name: name.replace("_", " ") for name in models.columns})
    caption = "Every model and baseline: skill over the price in nats a trade, USD per day over taking all, with 95 %"
    return [*made, ui.table("gate-models", plain, caption, numbers=[each.replace("_", " ") for each in numbers])]


def _figures(scores: Any, shown: str) -> list[Component]:
    row = scores.models.row(by_predicate=pl.col("model") == shown, named=True)
    least = f"Bins with fewer than {figures.LEAST_DRAWN} trades are not drawn."
    return [
        ui.figure(
            "gate-reliability", figures.reliability(scores.reliability, shown),
            f"Share of trades that won over the odds that were said, of {shown} with 95 % intervals, beside the price. "
            f"Calibration error {row['ece']:.3f}, by chance {row['ece_by_chance']:.3f}, n {row['n']:,}. {least}",
        ),
        ui.figure(
            "gate-calibration", figures.calibration(scores.quarters, shown),
            f"By quarter, how much more often trades won than was said, of {shown} with 95 % intervals.",
        ),
        ui.figure(
            "gate-money", figures.money(scores.daily),
            "Cumulative USD of one unit of each trade taken, after costs, beside taking every trade and going by the "
            f"price alone; {row['days']:,} days.",
        ),
    ]  # fmt: skip


def register(app: Dash, lab: Lab) -> None:
    """Add the callbacks."""

    @app.callback(
        Output("gate-order", "value"),
        Output("gate-as-of", "value"),
        Input("gate-example", "n_clicks"),
        prevent_initial_call=True,
    )
    def example(_: int) -> tuple[str, str]:
        return EXAMPLE, EXAMPLE_AT

    @app.callback(
        Output("gate-answer", "children"),
        Input("gate-ask", "n_clicks"),
        State("gate-order", "value"),
        State("gate-dialect", "value"),
        State("gate-as-of", "value"),
        State("gate-price", "value"),
        State("gate-volatility", "value"),
        prevent_initial_call=True,
    )
    def ask(clicks: int, order: str | None, dialect: str, as_of: str | None, price: str, volatility: str) -> Any:
        if not clicks:
            return no_update
        return answer(
            looks.asked(
                lab.open_home(), order or "", now=lab.now(), dialect=dialect, as_of=(as_of or "").strip() or None,
                price=number(price, "the price"), volatility=number(volatility, "the volatility"),
            )
        )  # fmt: skip

    @app.callback(Output("gate-standing", "children"), Input("gate-standing", "id"))
    def show_standing(_: str) -> Any:
        home = lab.open_home()
        try:
            made = standing(looks.standing(home, lab.now()))
        except DataMissing as missing:
            made = [ui.empty(str(missing), "openbell train gate")]
        try:
            live = looks.log_report(home)
        except DataMissing as missing:
            return [*made, ui.note(f"Of what was answered live nothing can be judged: {missing}")]
        from openbell.app.reports.gate import verdict

        told = [html.P(each) for each in verdict(live.scores, live.scores.shown)]
        return [*made, html.H3("What was answered live"), *told, *(ui.note(each) for each in live.notes)]


PAGE = Page(
    name="gate",
    title="Gate",
    order=40,
    about="Paste a proposed option trade: how it reads, what it can make and lose, its odds, and whether to take it.",
    layout=layout,
    register=register,
)
