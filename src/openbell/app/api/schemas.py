"""What the service is asked: strict, bounded, and without fields that nobody reads."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

#: A batch of more is refused by 413; its items are never cut off.
MOST_REQUESTS = 100
MOST_TEXT = 20_000

Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e9, le=1e9)]
Word = Annotated[str, Field(min_length=1, max_length=40)]
Name = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[\x21-\x7e]+$")]
Strikes = Annotated[list[Number], Field(max_length=8, description="In any order.")]


class Asking(BaseModel):
    """Strict: a wrong type, a number that is not finite or an unknown field is refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class TradeInstruction(Asking):
    """An order whose risk and reward are asked (S1.21)."""

    symbol: Annotated[str, Field(min_length=1, max_length=12, examples=["SPX"])]
    strategy: Annotated[Word, Field(examples=["Butterfly"])]
    strikes: Strikes
    premium: Annotated[Number, Field(description="Points per unit, above 0; the action says whether it is paid.")]
    action: Annotated[Word, Field(examples=["BUY"], description="BUY, SELL, BOT or SOLD.")]
    quantity: int = 1
    option_type: Annotated[str | None, Field(max_length=10, description="CALL, PUT or CALL/PUT.")] = None


class TradeRequest(Asking):
    """A proposed trade whose odds are asked (S1.22)."""

    strategy: Annotated[Word, Field(examples=["Butterfly"])]
    symbol: Annotated[str, Field(min_length=1, max_length=12, examples=["SPX"])]
    premium: Annotated[Number, Field(description="Points per unit, above 0; the action says whether it is paid.")]
    predicted_price: Annotated[
        Number, Field(gt=0, description="What the caller expects of the underlying's close, points.")
    ]
    short_term: Annotated[Number | None, Field(description="A price level, or a score between -1 and 1.")] = None
    long_term: Annotated[Number | None, Field(description="A price level, or a score between -1 and 1.")] = None
    strikes: Strikes
    action: Annotated[
        Word | None, Field(description="Without one: BUY a butterfly, SELL an iron condor, vertical or sonar.")
    ] = None
    option_type: Annotated[str | None, Field(max_length=10, description="CALL, PUT or CALL/PUT.")] = None
    quantity: int = 1
    risk: Annotated[
        Number | None, Field(description="USD; computed where it is left out, refused where it is wrong.")
    ] = None
    reward: Annotated[
        Number | None, Field(description="USD; computed where it is left out, refused where it is wrong.")
    ] = None
    expiry: Annotated[
        dt.date | None,
        Field(description="Without one the trade expires today, or in the next session after the close."),
    ] = None
    target1: Annotated[Number | None, Field(description="Points.")] = None
    target2: Annotated[Number | None, Field(description="Points.")] = None
    trade_id: Annotated[Name | None, Field(description="The caller's own name of the trade; one arm answers it.")] = (
        None
    )


class BatchRequest(Asking):
    """Up to 100 proposed trades; one more and the batch is refused by 413."""

    requests: Annotated[list[TradeRequest], Field(min_length=1)]
    share_market_data: Annotated[
        bool, Field(description="Answer all trades of a symbol by one look at its market.")
    ] = True


class ParseRequest(Asking):
    """Text with orders in it."""

    text: Annotated[str, Field(min_length=1, max_length=MOST_TEXT)]
    dialect: Annotated[str, Field(max_length=20, description="auto, tos, discord, occ or json.")] = "auto"
    at: Annotated[
        dt.datetime | None, Field(description="When it was written, with its zone: settles a missing year.")
    ] = None


class OutcomeRequest(Asking):
    """What became of a trade that was predicted: named by `prediction_id`, or by the key's own `trade_id`."""

    prediction_id: Name | None = None
    trade_id: Name | None = None
    profit: Annotated[Number, Field(description="USD of the whole order after costs.")]
    known_at: Annotated[
        dt.datetime | None, Field(description="When it was known, with its zone; now where left out.")
    ] = None


class Listening(Asking):
    """The first message of a websocket that sent no key in its header."""

    key: Annotated[str, Field(max_length=200)]
    symbols: Annotated[list[Annotated[str, Field(max_length=12)]], Field(max_length=100)] = []

    @property
    def wanted(self) -> frozenset[str]:
        """The symbols that it wants to hear of; none for all."""
        return frozenset(symbol.upper() for symbol in self.symbols)


class ListenRequest(Listening):
    """To hear verdicts."""


def document(*models: type[BaseModel]) -> dict[str, Any]:
    """The JSON schemas of `models` for the components of the OpenAPI document."""
    from pydantic.json_schema import models_json_schema

    _, told = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
    return dict(told.get("$defs", {}))
