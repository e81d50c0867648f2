"""How the engine speaks to an estimator on the scikit-learn contract."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def accepted(method: Callable[..., Any], **offered: Any) -> dict[str, Any]:
    """Those of `offered` that the signature of `method` names; what is None is not handed on."""
    named = inspect.signature(method).parameters
    return {name: value for name, value in offered.items() if value is not None and name in named}
