"""Which provider reads a file of option chains: recognised from its first lines or its columns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from openbell.market.chain_layouts import content, layout_of, table
from openbell.market.providers import cboe_chain

#: Layout -> the provider that reads it.
PROVIDERS: Mapping[str, str] = {
    "cboe": "cboe_chain",
    "yahoo": "yahoo_chain",
    "optionsdx": "optionsdx",
    "orats": "orats",
    "map": "mapped_chain",
}


def recognised(file: Path) -> str:
    """The layout of `file`; one that fits none is refused with the nearest."""
    read = content(file)
    if not file.name.lower().endswith(".parquet") and cboe_chain.is_cboe(read):
        return "cboe"
    return layout_of(table(file, read).columns, file.name)
