"""What goes wrong in the lab, as a sentence on the page, and in the log what a person must look at."""

from __future__ import annotations

from typing import Any

import structlog

from openbell.core.errors import OpenbellError

ALERT = "lab-alert"
_log = structlog.get_logger()


def sentence(failure: Exception) -> str:
    """What a page says of `failure`: its own sentence, or that the fault is ours."""
    if isinstance(failure, OpenbellError):
        return str(failure)
    _log.error("fault of a page of the lab", exc_info=failure)
    return (
        f"Internal error: {type(failure).__name__}. This is a fault of Openbell, not of yours; "
        "the log of the server says where."
    )


def show(failure: Exception) -> Any:
    """Put the sentence of `failure` into the alert line; the outputs of the callback stay as they are."""
    from dash import no_update, set_props

    set_props(ALERT, {"children": sentence(failure)})
    return no_update
