"""The error that all tournaments of a desk may spend in one year, whoever wins them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openbell.core.errors import Refused

if TYPE_CHECKING:
    from openbell.app.home import Home


def spend(home: Home, desk: str, plan: str) -> None:
    """Spend ``train.alpha`` of the year's budget of `desk` on `plan`; the same plan again spends nothing.

    Raises
    ------
    Refused
        Where the budget is used up.
    """
    from openbell.app.clock import now

    alpha, allowed = home.settings.train.alpha, home.settings.tournament.alpha_per_year
    plans = home.trials.plans(desk, now().year)
    spent = sum(plans.values())
    if plan not in plans and spent + alpha > allowed + 1e-12:
        raise Refused(
            f"The tournaments of {desk} have spent {spent:.3f} of the {allowed:.3f} of error that {now().year} may "
            f"spend; another would spend {alpha:.3f}. Wait, or set tournament.alpha_per_year."
        )
    home.trials.spend(desk, at=now(), alpha=alpha, plan=plan)
