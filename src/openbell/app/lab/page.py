"""What a page of the lab is, and what it is handed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dash import Dash
    from dash.development.base_component import Component

    from openbell.app.home import Home
    from openbell.app.lab.jobs import Jobs
    from openbell.store.presets import Presets


@dataclass(frozen=True)
class Lab:
    """What every page is handed.

    Attributes
    ----------
    open_home : a home with fresh settings; opening one is cheap, its rooms open when used.
    jobs : long work in the background. presets : what people saved. now : the clock.
    """

    open_home: Callable[[], Home]
    jobs: Jobs
    presets: Presets
    now: Callable[[], dt.datetime]


@dataclass(frozen=True)
class Page:
    """One page.

    Attributes
    ----------
    name : last part of its path and prefix of the ids of its components, such as ``almanac``.
    title : in the navigation. order : there. about : one sentence under the title.
    layout : ``(lab, query) -> component``; `query` is the query string of the URL, each key once. It may raise any
        `OpenbellError`: the shell shows its sentence in place of the page.
    register : ``(app, lab)``, adds the callbacks of the page. A callback may raise `OpenbellError` too: the shell shows
        its sentence in the alert at the top of the page and leaves the outputs as they are.
    """

    name: str
    title: str
    order: int
    about: str
    layout: Callable[[Lab, Mapping[str, str]], Component]
    register: Callable[[Dash, Lab], Any] = lambda app, lab: None
