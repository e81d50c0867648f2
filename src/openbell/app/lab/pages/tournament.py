"""Tournament: who met, which gates stopped whom, who is in office, and how much of the year's error is left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
from dash import Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component

from openbell.app.lab import ui
from openbell.app.lab.figures import evaluation as score_figures
from openbell.app.lab.figures import tournament as figures
from openbell.app.lab.grids import grid
from openbell.app.lab.looks import tournament as looks
from openbell.app.lab.page import Lab, Page
from openbell.app.lab.urls import QUERY, path
from openbell.core.errors import BadInput
from openbell.store.journal import Record


def layout(lab: Lab, query: Mapping[str, str]) -> Component:
    """The page; `query` may name the ``desk`` and the ``training`` (plan of a tournament, or its first letters)."""
    names, said = looks.desks(lab.open_home()), []
    asked = query.get("desk", "")
    try:
        desk = looks.known(names, asked)
    except BadInput as failure:
        said, desk = [html.P(str(failure), className="warn", role="status")], names[0]
    if not asked:
        desk = next((each for each in names if looks.held(lab.open_home(), each)), desk)
    return html.Div(
        [
            ui.section(
                "Which desk",
                *said,
                html.Div(
                    ui.field("Desk", dcc.Dropdown(list(names), desk, id="tournament-desk", clearable=False)),
                    className="fields",
                ),
            ),
            html.Div(_desk(lab, desk, query.get("training", "")), id="tournament-found"),
        ]
    )


def _desk(lab: Lab, desk: str, training: str = "") -> list[Component]:
    """Office, budget and hold-out of a desk, and its tournaments."""
    return [
        html.Div(
            [_tournaments(lab, desk, training), _office(lab, desk), _budget(lab, desk), _holdout(lab, desk)],
            className="stack",
        )
    ]


def _tournaments(lab: Lab, desk: str, training: str) -> Component:
    records = looks.held(lab.open_home(), desk)
    hold = [
        ui.note(
            "A tournament is held by its command, and spends part of the year's error whoever wins. A training on the "
            "page Training spends none, and puts nobody in office."
        ),
        html.Pre(html.Code(looks.command(desk)), tabIndex=0),
        html.Div(
            [
                dcc.Link("Train this desk", href=path("training", desk=desk.partition(".")[0]), className="button"),
                dcc.Link("Evaluate its trainings", href=path("evaluation", desk=desk), className="button"),
            ],
            className="buttons",
        ),
    ]
    if not records:
        return ui.section("Tournaments", ui.empty(f"No tournament of the desk {desk} is on record here."), *hold)
    fits = [each for each in records if str(each.payload["training"]).startswith(training)]
    said = [] if fits else [html.P(f"There is no tournament `{training[:12]}` of {desk}.", className="warn")]
    chosen = (fits or records)[0]
    options = [{"label": looks.words(each), "value": str(each.payload["training"])} for each in records]
    held = dcc.Dropdown(options, str(chosen.payload["training"]), id="tournament-held", clearable=False)
    return html.Div(
        [
            ui.section("Tournaments", *said, ui.field(f"On record, the newest first ({len(records)})", held),
                       html.Details([html.Summary("Hold another one"), *hold])),
            html.Div(_held(lab, chosen), id="tournament-one", className="stack"),
        ],
        className="stack",
    )  # fmt: skip


def _held(lab: Lab, record: Record) -> list[Component]:
    """One tournament: the verdict, what all were held against, the board, the gates."""
    found = looks.one(lab.open_home(), record)
    told = record.payload
    facts = pl.DataFrame({"of all": list(found.facts), "is": list(found.facts.values())})
    parts: list[Component] = [
        html.P(found.head, className="headline"),
        html.Ul([html.Li(each) for each in found.why]),
        ui.table("tournament-facts", facts, "What all entrants were held against together"),
    ]
    if told.get("made_up"):
        parts.append(ui.note(f"The data were made up ({told['made_up']}): this says nothing about any real market."))
    notes = html.Ul([html.Li(each) for each in found.notes])
    parts.append(html.Details([html.Summary(f"{len(found.notes)} notes on the data"), notes]))
    evaluation = path("evaluation", desk=told["desk"], training=str(told["training"])[:16])
    parts.append(html.Div(dcc.Link("Its models in full: evaluation", href=evaluation, className="button"),
                          className="buttons"))  # fmt: skip
    return [ui.section(f"{told['desk']} as of {told['session']}", *parts), _board(found), *_gates(found)]


def _board(found: looks.Held) -> Component:
    parts: list[Component] = [ui.note(found.missing)] if found.missing else []
    if found.drawn.height:
        most = found.drawn.head(figures.MOST)
        beyond = (
            f"; {found.drawn.height - most.height} more stand in the table" if most.height < found.drawn.height else ""
        )
        label = f"{found.measure}, out of sample, with 95 % intervals; {found.chance}{beyond}."
        parts.append(ui.figure("tournament-scores", score_figures.scores(most, found.measure), label))
    if found.board.height and found.board.width > 1:
        tries = found.facts["tries in the ledger"]
        caption = f"{found.board.height} entrants, the best first; intervals of 95 %, {tries} tries"
        parts.append(grid("tournament-board", found.board, caption, wide=("stopped by",), filters=True))
    if found.costs is not None and found.costs.height:
        caption = "Sharpe ratio of the leading entrants at other costs of each side"
        costs = ui.table("tournament-costs", found.costs, caption, numbers=found.costs.columns[1:])
        parts.append(html.Details([html.Summary("At other costs"), costs]))
    return ui.section("Leaderboard", *parts)


def _gates(found: looks.Held) -> list[Component]:
    if found.gates.is_empty():
        return []
    name = "entrant" if "entrant" in found.board.columns else found.board.columns[0]
    order = found.board[name].to_list()
    label = (
        f"Each gate with its threshold, and the value of each entrant, {figures.MOST} at most. A champion passes all."
    )
    shown = found.gates.with_columns(passed=pl.when("passed").then(pl.lit("passed")).otherwise(pl.lit("failed")))
    caption = f"{shown.height} gates: value, threshold, and the sentence of each"
    return [
        ui.section(
            "Gates",
            ui.figure("tournament-gates", figures.gates(found.gates, order), label),
            grid("tournament-gate-rows", shown, caption, titles={"limit": "threshold"}, wide=("why",), filters=True),
        )
    ]


def _office(lab: Lab, desk: str) -> Component:
    said, rows = looks.office(lab.open_home(), desk, lab.now())
    history = ui.note("Nobody was ever put in office.")
    if rows.height:
        history = ui.table("tournament-offices", rows, "Every change of office, the newest first")
    return ui.section("In office", html.P(said), history)


def _budget(lab: Lab, desk: str) -> Component:
    home = lab.open_home()
    found = looks.budgets(home, desk, lab.now())
    tried = looks.tried(home, desk)
    if not found:
        return ui.section("Error budget", ui.note("There is no ledger yet: nothing was tried, and no error was spent."))
    this = found[0]
    many = f"{this.tournaments} tournament{'' if this.tournaments == 1 else 's'}"
    label = (
        f"In {this.year} {many} spent {this.spent:.1%} of {this.allowed:.1%}; each spends {this.alpha:.1%}, so "
        f"{this.left} more may be held. The chance that any champion of the year is luck is at most what is spent."
    )
    caption = f"Configurations that the ledger counts for this desk: {tried['tries'].sum():,} tries"
    return ui.section(
        "Error budget",
        ui.figure("tournament-budget", figures.spent(found), label),
        ui.table("tournament-tried", tried, caption, numbers=("tries",)),
    )


def _holdout(lab: Lab, desk: str) -> Component:
    said, rows = looks.holdout(lab.open_home(), desk)
    shown = [ui.table("tournament-openings", rows, "Every look at it", numbers=("look",))] if rows.height else []
    return ui.section("Hold-out", html.P(said), *shown)


def register(app: Dash, lab: Lab) -> None:
    """Callbacks of the page."""

    @app.callback(
        Output("tournament-found", "children"),
        Output(QUERY, "data", allow_duplicate=True),
        Input("tournament-desk", "value"),
        prevent_initial_call=True,
    )
    def show(desk: str) -> tuple[list[Component], dict[str, str]]:
        name = looks.known(looks.desks(lab.open_home()), desk)
        return _desk(lab, name), {"desk": name}

    @app.callback(
        Output("tournament-one", "children"),
        Output(QUERY, "data", allow_duplicate=True),
        Input("tournament-held", "value"),
        State("tournament-desk", "value"),
        prevent_initial_call=True,
    )
    def show_one(training: str, desk: str) -> tuple[list[Any], dict[str, str]]:
        records = looks.held(lab.open_home(), desk)
        found = next((each for each in records if each.payload["training"] == training), None)
        if found is None:
            raise BadInput(f"There is no tournament `{str(training)[:12]}` of {desk} on record.")
        return _held(lab, found), {"desk": desk, "training": str(training)[:16]}


PAGE = Page(
    "tournament",
    "Tournament",
    36,
    "Who met, which gates stopped whom, who is in office, and how much of the year's error is left.",
    layout,
    register,
)
