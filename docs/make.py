"""Write what is made from the code: `openbell.toml` and one page per plug-in room in `docs/reference/`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from openbell.app.settings_example import example
from openbell.core.declare import Catalogue, Declaration, Feature, Label, discover
from openbell.quant.reach import lookback

ROOT = Path(__file__).resolve().parent.parent
TITLES = {
    "features": "What a model may know: causal expressions over the days of one symbol, or over one option chain.",
    "labels": "What a model should foresee: expressions that look forward, with a `known_at` the engine derives.",
    "models": "What learns: estimators on the scikit-learn contract, saved in safe formats.",
    "desks": "What decides.",
    "checks": "What may object: each is asked about every decision, and one that raises blocks.",
    "providers": "Where rows come from.",
}


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    return [*lines, *(f"| {' | '.join(map(_cell, row))} |" for row in rows)]


def _settings(thing: Declaration) -> str:
    shown = {name: getattr(value, "__name__", None) or repr(value) for name, value in thing.settings.items()}
    return ", ".join(f"`{name} = {value}`" for name, value in shown.items()) or "–"


def _references(things: Iterable[Declaration]) -> list[str]:
    found: dict[str, None] = {}
    for thing in things:
        _, _, below = thing.doc.partition("References\n----------\n")
        for line in below.splitlines():
            if line.strip():
                found[line.strip()] = None
    return [f"- {line}" for line in found]


def _family(name: str, things: list[Declaration]) -> list[str]:
    lines = ["", f"## {name}", ""]
    first = things[0]
    if isinstance(first, Feature):
        features = [each for each in things if isinstance(each, Feature)]
        rows = [(f"`{each.name}`", each.reads, lookback(each), each.unit, each.summary) for each in features]
        lines += _table(("feature", "reads", "look-back, sessions", "unit", "definition"), rows)
    elif isinstance(first, Label):
        labels = [each for each in things if isinstance(each, Label)]
        rows = [(f"`{each.name}`", each.horizon_sessions, each.unit, each.summary) for each in labels]
        lines += _table(("label", "horizon, sessions", "unit", "definition"), rows)
    else:
        lines += _table(("name", "what", "settings"), [(f"`{e.name}`", e.summary, _settings(e)) for e in things])
    references = _references(things)
    return [*lines, *(["", "References:", "", *references] if references else [])]


def page(room: str, catalogue: Catalogue) -> str:
    """The reference page of one plug-in room."""
    families: dict[str, list[Declaration]] = {}
    for thing in getattr(catalogue, room).values():
        families.setdefault(thing.family, []).append(thing)
    count = sum(map(len, families.values()))
    lines = [f"# {room.capitalize()}", "", TITLES[room], "", f"{count} in {len(families)} files. Made by `make docs`."]
    for name, things in families.items():
        lines += _family(name, things)
    return "\n".join(lines) + "\n"


def files(catalogue: Catalogue) -> dict[str, str]:
    """Every file that is made from the code, by its path below the project's folder."""
    return {
        "openbell.toml": example(catalogue),
        **{f"docs/reference/{room}.md": page(room, catalogue) for room in TITLES},
    }


if __name__ == "__main__":
    for name, content in files(discover()).items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
