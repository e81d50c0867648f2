"""The lab of a home: what its pages are handed, and the application that a server runs."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from openbell.app.clock import now, seconds
from openbell.app.lab.page import Lab
from openbell.core.errors import DataMissing

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.app.lab.mounting import LabServer
    from openbell.app.lab.place import Place

#: Packages of the extra `lab`.
NEEDS = ("dash", "dash_ag_grid", "plotly", "a2wsgi")


def installed() -> bool:
    """Whether what the lab needs is there."""
    return all(find_spec(each) is not None for each in NEEDS)


def lab_of(home: Home, place: Place) -> Lab:
    """What the pages of `home` are handed; `place` opens the same home again."""
    from openbell.app.lab.jobs import Jobs
    from openbell.store.jobs import JobStore
    from openbell.store.presets import Presets

    jobs = Jobs(JobStore(home.lab_database), place, now, home.settings.lab.jobs)
    return Lab(place.opened, jobs, Presets(home.lab_database), now)


def lab_server(home: Home, place: Place, *, door: Any = None, hosts: tuple[str, ...] = ()) -> LabServer:
    """The lab of `home` as an ASGI application, behind `door` or open to this machine."""
    if not installed():
        missing = next(each for each in NEEDS if find_spec(each) is None)
        raise DataMissing(f"The lab needs {missing}, which is not installed. Install it: `pip install openbell[lab]`.")
    from openbell.app.lab.create import create
    from openbell.app.lab.mounting import STATES_BYTES, LabServer

    pages = create(lab_of(home, place), behind_door=door is not None)
    most = home.settings.lab.max_upload_bytes * 4 // 3 + STATES_BYTES  # files arrive as base64
    return LabServer(pages, most, door, hosts)


def door_of(home: Home, redis_password: str | None = None) -> Any:
    """The door that lets in by the keys of the API."""
    from openbell.app.api.limiting import RateLimiter
    from openbell.app.lab.door import Door
    from openbell.store.logins import Logins

    settings = home.settings.serve
    limiter = RateLimiter(settings.cache, settings.workers, redis_password, seconds)
    return Door(home.api_keys, Logins(home.lab_database), limiter, now)
