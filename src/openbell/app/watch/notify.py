"""The last step of a run: telling somebody. A failure here never stops a run."""

from __future__ import annotations

import logging
from collections.abc import Sequence

log = logging.getLogger("openbell.notify")


def notify(subject: str, lines: Sequence[str], *, urgent: bool = False) -> None:
    """Write the message to the log; the channels of `live.notifications` come with the live issue."""
    log.log(logging.WARNING if urgent else logging.INFO, "%s\n%s", subject, "\n".join(lines))
