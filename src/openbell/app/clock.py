"""The one place that looks at the clock."""

import datetime as dt
import time


def now() -> dt.datetime:
    """This moment, UTC."""
    return dt.datetime.now(dt.UTC)


def seconds() -> float:
    """Seconds on a clock that only goes forward, for measuring how long something takes."""
    return time.monotonic()
