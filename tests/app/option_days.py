"""One made-up day of the options desk, decided by its own stage 2 and its own desk, for the tests of its report."""

import datetime as dt
import hashlib
import io
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl

from openbell.app.options_account import OptionAccount
from openbell.app.options_daily import Decided
from openbell.app.options_market import FeaturesOfDay, OptionMarketData
from openbell.app.options_simulate import Today
from openbell.app.options_training import FRAMES, OptionTraining
from openbell.core.outlook import Outlook, quantile_columns
from openbell.core.proposal import OptionMarket
from openbell.core.types import Book, Decision, Outcome, Verdict
from openbell.desks.options import decide as desks
from openbell.quant.feature_groups import EIGHTY_FOUR
from openbell.quant.parameter_choice import ChoiceSettings
from openbell.quant.similar import STATE, similar_days
from openbell.quant.structures import STRUCTURES
from openbell.quant.valuation import surface_volatility
from openbell.research.chain_features import OptionFeatures
from openbell.research.option_scores import scoreboard
from openbell.research.option_walk import CONSTANT, Walk, Walked
from openbell.research.stage_one import Outcomes

sys.path.insert(0, str(Path(__file__).parents[1] / "quant"))
import option_toys as toys

#: Sessions of the made market; the chain is that of `ROW`, the decision for the session after it.
N, ROW = 320, 260
NASTY = "<script>alert('&')</script>"
CALENDAR = toys.weekdays(500)
SURFACES = toys.surfaces(N, seed=11)
KNOWN_ON, SESSION = CALENDAR[ROW].item(), CALENDAR[ROW + 1].item()
AS_OF = dt.datetime.combine(SESSION, dt.time(13, 0), dt.UTC)


def table():
    """States of every session, drawn; the other features are null."""
    rng = np.random.default_rng(3)
    columns = {name: rng.normal(30.0 if name == "vix_level" else 50.0, 8.0, N) for name in STATE}
    return pl.DataFrame(
        {"session": pl.Series(CALENDAR[:N]).cast(pl.Date)}
        | {name: columns.get(name, pl.Series([None] * N, dtype=pl.Float64)) for name in EIGHTY_FOUR}
        | {"modelled": [True] * N}
    )


def market(remarks=("The term structure is the fitted one.",), underlying="SPX"):
    """What the desk sees of it, without a home or tables."""
    frame = table()
    nothing = pl.DataFrame(schema={"session": pl.Date, "feature": pl.String, "reason": pl.String})
    settings = SimpleNamespace(train=SimpleNamespace(jobs=1), hash="0" * 64)
    days = frame.select("session", modelled=pl.lit(True), left_out=pl.lit(3))
    return OptionMarketData(
        home=SimpleNamespace(settings=settings),
        view=SimpleNamespace(sessions=SimpleNamespace(dates=[each.item() for each in CALENDAR]), as_of=AS_OF),
        underlying=underlying,
        surfaces=SURFACES,
        features=OptionFeatures(underlying, frame, nothing),
        chain_days=days,
        remarks=tuple(remarks),
    )


def quotes(data, modelled=True):
    """The chain of `ROW` as it is stored, by the oracle of the simulator's tests."""
    dates = data.listed.date[data.listed.listed_on(CALENDAR[ROW]) & (data.listed.date < CALENDAR[ROW] + 90)]
    made = toys.chain(SURFACES, ROW, dates[(dates - CALENDAR[ROW]).astype(int) > 3])
    years = (made.expiry - CALENDAR[ROW]).astype(int) / 365
    rate, paid = SURFACES.rate[ROW], SURFACES.dividend_yield[ROW]
    spots = np.full(len(made.strike), SURFACES.spot[ROW])
    sigma = surface_volatility(SURFACES.parameters[ROW], spots, made.strike, years, rate=rate, dividend_yield=paid)
    return pl.DataFrame(
        {
            "session": KNOWN_ON, "root": "SPXW", "expiry": made.expiry, "strike": made.strike,
            "right": np.where(made.right > 0, "CALL", "PUT"), "settlement": "PM", "exercise": "EUROPEAN",
            "multiplier": 100.0, "bid": made.bid, "ask": made.ask, "mid": (made.bid + made.ask) / 2,
            "iv": sigma, "delta": 0.5, "gamma": 0.001, "theta": -1.0, "vega": 100.0,
            "forward": SURFACES.spot[ROW] * np.exp((rate - paid) * years), "modelled": modelled, "source": "made",
        }
    ).with_columns(pl.col("expiry").cast(pl.Date))  # fmt: skip


def today(data, modelled=True, capital_usd=3_000_000.0):
    """Stage 2 with sixty similar days of the made past."""
    states = data.table.select(STATE).to_numpy()
    similar = similar_days(states[:ROW], np.arange(ROW) + 34 <= ROW, states[ROW], names=STATE)
    terms = ChoiceSettings(capital_usd=capital_usd, minimum_risk_reward=0.0)
    spot = float(SURFACES.spot[ROW])
    return Today(data, SESSION, KNOWN_ON, ROW, quotes(data, modelled), modelled, spot, similar, terms)


def outlook(best, *, proven, modelled):
    """A forecast that puts `best` first."""
    names = list(STRUCTURES)
    worth = np.linspace(-0.1, -0.3, len(names))
    worth[names.index(best)] = 0.25
    rows = {"structure": names, "expected_utility": worth}
    rows |= {name: np.linspace(-0.9, 0.6, 5)[at] + 0.2 * worth for at, name in enumerate(quantile_columns())}
    rows |= {"probability": np.where(worth > 0, 0.37, 0.07)}
    return Outlook(AS_OF, SESSION, "SPX", pl.DataFrame(rows), "catboost@made", proven, modelled, ("Head.", "StepM."))


def training(folder, *, days=700, why=("No view: nobody earned it.",), champion=None):
    """The evidence of a training of two candidates on drawn outcomes, written and hashed as a training does."""
    rng = np.random.default_rng(5)
    s = len(STRUCTURES)
    realised = np.clip(rng.normal(-0.02, 0.6, (days, s)), -1.0, 3.0)
    realised[: days - 90, 2] = np.nan
    held = rng.integers(3, 25, (days, s)).astype(float)
    moments = np.arange(days).astype("datetime64[D]").astype("datetime64[us]")
    outcomes = Outcomes(tuple(STRUCTURES), moments, moments, realised, realised[:, :, None])

    def walked(name):
        chances = rng.dirichlet(np.ones(s), days)
        return Walked(name, rng.normal(0.0, 0.1, (days, s)), chances, np.zeros((days, s, 5)), (2.5,), 4.0, {})

    names = (CONSTANT, "light_gbm", "catboost")
    walk = Walk(np.arange(days), np.array([0]), {name: walked(name) for name in names})
    board = scoreboard(
        walk, outcomes, [each.item() for each in toys.weekdays(days)], realised, held,
        rules=rng.integers(-1, s, days), replications=1000,
    )  # fmt: skip
    found = dict.fromkeys(FRAMES, pl.DataFrame({"session": [SESSION]})) | {
        "strategies": board.strategies,
        "classification": board.classification,
        "structures": board.structures,
        "paths": board.paths,
    }
    evidence = {}
    (folder / "evidence").mkdir(parents=True, exist_ok=True)
    for name, frame in found.items():
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        (folder / "evidence" / f"{name}.parquet").write_bytes(buffer.getvalue())
        evidence[name] = hashlib.sha256(buffer.getvalue()).hexdigest()
    payload = {
        "champion": champion, "leader": champion or "catboost", "days": days, "tries": 2, "modelled": True,
        "first": "2021-01-04", "last": "2023-09-01", "session": str(SESSION), "underlying": "SPX", "why": list(why),
        "notes": ["Every result here rests on modelled quotes."], "manifests": {"catboost": "ab" * 32},
        "evidence": evidence, "training": "cd" * 32, "settings": "ef" * 32,
    }  # fmt: skip
    return OptionTraining(payload, folder)


def features(data, reasons=None, modelled=True):
    values = data.table.row(ROW, named=True)
    known = {"trend_regime": 1.0, "volatility_regime": 3.0, "iv_rank": 41.0, "current_price": float(SURFACES.spot[ROW])}
    given = {name: values[name] for name in EIGHTY_FOUR} | known
    return FeaturesOfDay("SPX", SESSION, KNOWN_ON, given, reasons or {}, modelled, ("Modelled chains stand behind.",))


def decided(
    trained, structure="IRON_CONDOR", *, proven=True, modelled=True, blocked=False, live=True, why=(), remarks=()
):
    """A judged decision for `structure`, `why` and `remarks` are added; without `live` no quote has a bid."""
    data = market(remarks)
    now = today(data, modelled)
    now = now if live else replace(now, quotes=now.quotes.with_columns(bid=pl.lit(0.0)))
    account = OptionAccount(Book(AS_OF, 3_000_000.0))
    view = outlook(structure, proven=proven, modelled=modelled)
    proposals = {structure: now.proposal(structure)}
    around = OptionMarket(AS_OF, SESSION, "SPX", now.spot, KNOWN_ON, KNOWN_ON, modelled)
    found = desks[0].decide(view, proposals, account.book, around, min_risk_reward=0.0)
    verdict = Verdict("option_risk", Outcome.BLOCK if blocked else Outcome.ALLOW, "It risks <too> much.")
    found = replace(found, why=(*found.why, *why), verdicts=(verdict,), made_of={"model": "ab" * 32})
    found = replace(found, targets={}) if blocked else found
    because = ("`iv_rank` at 41 raised the utility by 0.05.",)
    return Decided(found, data, features(data, modelled=modelled), trained, account, view, proposals, now, because)


def abstained(trained):
    """The decision of a day on which an input is missing."""
    data = market()
    reason = f"`vix_level` needs bars of VIX. {NASTY}"
    decision = Decision(
        desk="options", session=SESSION, as_of=AS_OF, targets={}, cash_weight=1.0,
        why=("No call: 1 of the 84 features are unavailable.", reason),
        details={"underlying": "SPX", "structure": None, "contracts": 0, "abstained": True},
    )  # fmt: skip
    known = features(data, {"vix_level": reason})
    return Decided(decision, data, known, trained, OptionAccount(Book(AS_OF, 3_000_000.0)))
