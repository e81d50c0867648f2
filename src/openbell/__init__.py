"""Openbell decides before the opening bell what to do in the market, and proves what its decisions are worth."""

__version__ = "0.1.0"
