"""What pages need and takes long to import, imported while nobody waits for it yet."""

from __future__ import annotations

import importlib
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openbell.app.home import Home

#: Seconds after the start: the first page is drawn before.
BEGINS_SECONDS = 3.0
#: In the order in which pages come to need them.
MODULES = (
    "polars", "scipy.stats", "openbell.app.almanac", "openbell.research.almanac_statistics",
    "openbell.research.almanac_extremes", "openbell.app.session_training", "openbell.research.session_reasons",
    "openbell.app.signals_training", "openbell.app.gate_ask",
)  # fmt: skip


def warm(home: Home) -> threading.Timer:
    """Begin importing in some seconds; it ends with the process, whatever it is at."""
    timer = threading.Timer(BEGINS_SECONDS, _imported, (home,))
    timer.daemon = True
    timer.start()
    return timer


def _imported(home: Home) -> None:
    home.sessions.index(home.sessions.dates[0])  # the calendar brings pandas with it
    for each in MODULES:
        importlib.import_module(each)
