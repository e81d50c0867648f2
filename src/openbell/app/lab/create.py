"""The lab as one Dash application on a Flask server: made of the pages that are there and of what it is handed."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from dash import Dash
from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from openbell.app.lab import errors, shell, theme
from openbell.app.lab.page import Lab, Page
from openbell.app.lab.pages import pages as declared
from openbell.app.lab.urls import PREFIX

#: Plotly looks into these for every value that it writes, wherever somebody imported them: a request that is answered
#: while another thread is at the import would find half a module, and fail.
_WHOLE_BEFORE_REQUESTS = {"pandas": "pandas", "PIL": "PIL.Image"}

_INDEX = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="same-origin">
<title>{%title%}</title>
{%metas%}
<link rel="icon" type="image/svg+xml" href="PREFIXassets/favicon.svg">
<script type="application/json" id="lab-templates">TEMPLATES</script>
<script src="PREFIXassets/first/theme.js"></script>
{%css%}
</head>
<body>
{%app_entry%}
<noscript><p class="noscript">The lab needs JavaScript, all of it from this server. Please allow it.</p></noscript>
<footer>{%config%}{%scripts%}{%renderer%}</footer>
</body>
</html>"""


def create(lab: Lab, *, behind_door: bool = False, pages: Sequence[Page] | None = None) -> Dash:
    """The application, all its paths below ``/lab/``; its Flask server is ``.server``.

    `behind_door` says that people log in, and so may log out. `pages` are all that are declared, unless others are
    handed in.
    """
    _import_whole()
    theme.register()
    shown = tuple(declared() if pages is None else pages)
    app = Dash(
        "openbell.app.lab",
        server=_server(),
        requests_pathname_prefix=PREFIX,
        routes_pathname_prefix=PREFIX,
        assets_ignore=r"theme\.js|favicon\.svg",
        serve_locally=True,
        suppress_callback_exceptions=True,
        on_error=errors.show,
        title="Openbell lab",
        update_title=None,  # type: ignore[arg-type]  # Dash would write it over the title of the page
        add_log_handler=False,
    )
    app.index_string = _INDEX.replace("PREFIX", PREFIX).replace("TEMPLATES", theme.as_json())
    app.layout = shell.layout(shown, behind_door=behind_door)
    shell.register(app, lab, shown)
    return app


def _import_whole() -> None:
    for package, module in _WHOLE_BEFORE_REQUESTS.items():
        if find_spec(package) is not None:
            importlib.import_module(module)


def _server() -> Flask:
    """A server without a folder of its own files, and with sentences where Flask would write a page of its own."""
    server = Flask("openbell.app.lab", static_folder=None)
    server.register_error_handler(Exception, _refused)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    return server


def _refused(failure: Exception) -> Any:
    """What no page could say: a malformed request of a callback, a path that is nowhere, a fault."""
    if isinstance(failure, HTTPException):
        status = failure.code or 500
        said = failure.description or "This cannot be answered."
    elif request.path.endswith("_dash-update-component"):
        status, said = 400, "This is no request that a page of the lab would make. Load the page again."
        logging.getLogger(__name__).info("a malformed request of a callback: %s", type(failure).__name__)
    else:
        status, said = 500, errors.sentence(failure)
    answer: Response = jsonify({"status": status, "detail": said})
    answer.status_code = status
    return answer
