"""Templates to pages: every value is escaped, every number is written in one way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

NOTHING = "–"


def percent(value: float | None, digits: int = 1, *, sign: bool = False) -> str:
    """A fraction as a percentage."""
    return NOTHING if value is None else _signs(f"{value:{'+' if sign else ''}.{digits}%}".replace("%", "\u00a0%"))


def number(value: float | None, digits: int = 2, *, sign: bool = False) -> str:
    """A plain number with groups of three."""
    return NOTHING if value is None else _signs(f"{value:{'+' if sign else ''},.{digits}f}")


def usd(value: float | None, digits: int = 0) -> str:
    """An amount of money."""
    return NOTHING if value is None else _signs(f"{'-' if value < 0 else ''}${abs(value):,.{digits}f}")


def plainly(value: float | None) -> str:
    """A number of any size in four digits."""
    return NOTHING if value is None else _signs(f"{value:.4g}")


def chance(value: float | None) -> str:
    """A p-value; below a thousandth only that is said."""
    return NOTHING if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def breakable(text: str) -> Markup:
    """A name that a narrow column may break after its joints, and nowhere else; copied text stays whole."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"([+_])", r"\1<wbr>", str(escape(text))))


def coded(text: str) -> Markup:
    """A sentence in which names between backticks are set as code."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))


def measure(value: float | None, unit: str, *, sign: bool = False) -> str:
    """A figure in its own unit."""
    if unit == "percent":
        return percent(value, 1, sign=sign)
    return number(value, 4 if unit == "ic" else 2, sign=sign)


def place(value: float, low: float, high: float) -> float:
    """Where `value` lies on an axis from `low` to `high`, in percent of its width."""
    return round(100.0 * (value - low) / ((high - low) or 1.0), 2)


def _signs(text: str) -> str:
    """A minus that is as wide as a plus; a negative zero is zero."""
    bare = text.replace("-", "")
    return bare if text.startswith("-") and not any(each in "123456789" for each in bare) else text.replace("-", "−")


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    pages = Environment(
        loader=PackageLoader("openbell.app.reports", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters.update(percent=percent, number=number, usd=usd, measure=measure, place=place)
    pages.filters.update(plainly=plainly, chance=chance, breakable=breakable, coded=coded)
    return pages


def render(template: str, values: Mapping[str, Any]) -> str:
    """The page of `template`, its style sheet inside it."""
    style = files("openbell.app.reports").joinpath("report.css").read_text(encoding="utf-8")
    return _environment().get_template(template).render(**values, style=style)
