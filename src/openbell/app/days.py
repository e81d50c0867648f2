"""Daily bars of a product into the tables: the gate, one commit, and a line in the journal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from openbell.app.data import take_in
from openbell.market import products
from openbell.market.product_days import product_days

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.market.importing import ImportReport


def import_daily_file(
    home: Home,
    file: Path,
    *,
    product: str | None = None,
    symbol: str | None = None,
    columns: Mapping[str, str] | None = None,
    sort: bool = False,
) -> ImportReport:
    """Days out of one file, each known at the close of the product's session."""
    batch, of = product_days(
        file, code=product, symbol=symbol, columns=columns, exchange=home.sessions.exchange, sort=sort
    )
    return take_in(home, batch, sessions=products.sessions(of, regular=of.kind == "STOCK"))
