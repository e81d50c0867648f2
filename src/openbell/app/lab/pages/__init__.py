"""One file adds one page: it declares a `PAGE`, and the lab finds it."""

from __future__ import annotations

import importlib
import pkgutil

from openbell.app.lab.page import Page


def pages() -> tuple[Page, ...]:
    """All pages, in the order of the navigation."""
    found = (importlib.import_module(f"{__name__}.{each.name}").PAGE for each in pkgutil.iter_modules(__path__))
    return tuple(sorted(found, key=lambda page: page.order))
