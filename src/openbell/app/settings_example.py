"""The shipped `openbell.toml`: every key at its default, what it does, and where each key of the request went."""

from __future__ import annotations

from openbell.app.request_keys import KEYS, Holds, Ours
from openbell.app.settings import keys, sections
from openbell.app.toml_text import literal, text
from openbell.core.declare import Catalogue

_HEAD = (
    "Every setting of Openbell at its default. Copy what you change into an openbell.toml of your own home.",
    "Code defaults <- openbell.toml <- environment OPENBELL__SECTION__KEY <- --set section.key=value.",
    "`openbell settings` shows each value in force and where it came from. Secrets come from the environment alone.",
    "This file is made from the code: `make docs` writes it anew.",
)


def _request_names() -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for theirs, rule in KEYS.items():
        if isinstance(rule, Ours) and rule.key != theirs:
            names.setdefault(rule.key, []).append(theirs)
    return names


def _elsewhere() -> list[str]:
    lines = [
        "",
        "# Keys of the request's config.yaml that are no setting here (`openbell settings import config.yaml`).",
    ]
    for theirs, rule in KEYS.items():
        if isinstance(rule, Ours):
            continue
        lines.append(f"# {theirs}: {f'always {literal(rule.value)}. ' if isinstance(rule, Holds) else ''}{rule.why}")
    return lines


def example(catalogue: Catalogue) -> str:
    """The text of the shipped `openbell.toml`."""
    known = keys(catalogue)
    theirs = _request_names()
    notes = {name: [what] for name, what in sections(catalogue).items() if what} | {
        name: [
            *([key.what] if key.what else []),
            *([f"In the request: {', '.join(theirs[name])}."] if name in theirs else []),
        ]
        for name, key in known.items()
    }
    values = {name: None if key.secret else key.default for name, key in known.items()}
    return text(values, notes, _HEAD) + "\n".join(_elsewhere()) + "\n"
