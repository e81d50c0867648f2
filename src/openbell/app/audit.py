"""The two audits: every feature proven causal, and a whole run with its future burnt."""

from __future__ import annotations

import datetime as dt
import importlib
import tempfile
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from openbell.app import account
from openbell.app.burn import BurntTables
from openbell.app.clock import now
from openbell.app.daily import decide_stocks, decision_files
from openbell.core.hashing import digest
from openbell.core.view import Tables as Source
from openbell.market.importing import import_batch
from openbell.market.providers.generated import generated
from openbell.research.fitting import code_behind
from openbell.store.tables import Tables

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.core.declare import Feature

#: Cut-offs at which the features of a session are proven: early, later, and after most of the day.
_CUTOFFS = ("10:15", "11:30", "14:00")


#: The record of an audit of features in the journal.
KIND = "audit"


def burn_run(home: Home, wanted: dt.date | None) -> dict[str, Any]:
    """Decide for a session three times: as stored, with all later rows removed, and with them turned into nonsense.

    Returns the names of the decision's files and whether each has the same bytes all three times.
    """
    session = home.decision_session(wanted)
    as_of = home.as_of(session)
    burnt: tuple[Literal["removed", "nonsense"], ...] = ("removed", "nonsense")
    honest = _files(home, session, home.tables)
    others = [_files(home, session, BurntTables(home.tables, as_of, how)) for how in burnt]
    import polars as pl

    later = home.tables.scan("bars").filter(pl.col("known_at") > as_of).select(pl.len()).collect().item()
    return {
        "session": session.isoformat(),
        "as_of": as_of.isoformat(),
        "later_rows": later,
        "files": {name: all(each[name] == text for each in others) for name, text in honest.items()},
    }


def _files(home: Home, session: dt.date, tables: Source) -> dict[str, str]:
    capital = home.settings.run.capital
    with account.shadow(home) as journal:
        account.settle(home, journal, home.view(session, tables), home.sessions.shift(session, -1), capital)
        decided = decide_stocks(home, session, capital, journal, tables=tables)
    return decision_files(decided)


def prove_features(home: Home, cuts: int) -> list[dict[str, Any]]:
    """Every proof of every declared feature, on the stored bars or, where there are none, on a generated market.

    The features of options are proven on a made-up market of options, and those of a session up to its cut-off on a
    made-up product, whatever is stored.
    """
    from openbell.quant.chain_expressions import CHAIN_READS, DAYS
    from openbell.quant.session_expressions import EARLY_READS, SESSION_READS

    features = list(home.catalogue.features.values())
    of_sessions = [each for each in features if each.reads in (EARLY_READS, SESSION_READS)]
    elsewhere = (*CHAIN_READS, DAYS, EARLY_READS, SESSION_READS)
    of_bars = [each for each in features if each.reads not in elsewhere]
    return [*_of_bars(home, of_bars, cuts), *_of_options(home, cuts), *_of_sessions(home, of_sessions, cuts)]


def prove_on_record(home: Home, cuts: int) -> list[dict[str, Any]]:
    """The proofs of every feature, told in the journal: what was proven of which code, and what was not."""
    results = prove_features(home, cuts)
    failed = {each["feature"]: f"{each['proof']}: {each['detail']}" for each in results if not each["passed"]}
    off = sorted({each["feature"] for each in results if each["proof"] == "switched off"} - failed.keys())
    features = home.catalogue.features
    families = {each.family: each.module for each in features.values()}
    payload = {
        "cuts": cuts,
        "proven": sorted({each["feature"] for each in results} - failed.keys() - set(off)),
        "failed": failed,
        "switched_off": off,
        "code": {family: code_of(module) for family, module in sorted(families.items())},
    }
    home.journal.append(KIND, payload, at=now(), key=digest([KIND, payload]))
    return results


def code_of(module: str) -> str:
    """Hash of the file of a family of features and of what it is written with: proofs are of that code."""
    return digest(code_behind(importlib.import_module(module)))


def _of_sessions(home: Home, features: list[Feature], cuts: int) -> list[dict[str, Any]]:
    """The proofs of the features of a session, at the cut-offs of `_CUTOFFS`."""
    from openbell.research.session_audit import audit_session_features
    from openbell.research.session_audit_market import made_up_sessions

    inputs = made_up_sessions(home.sessions)
    return [asdict(each) for each in audit_session_features(inputs, features, _CUTOFFS, cuts=cuts)]


def _of_options(home: Home, cuts: int) -> list[dict[str, Any]]:
    """The proofs of those of the 84 that read more than bars, and of the other features of one chain."""
    from openbell.quant.chain_expressions import CHAIN_READS
    from openbell.research.chain_audit import audit_chain_features, audit_option_features
    from openbell.research.chain_features import eighty_four
    from openbell.research.made_up_options import made_up_inputs

    features = eighty_four(home.catalogue.features)
    inputs = made_up_inputs(home.sessions)
    proofs = audit_option_features(inputs, features, cuts=cuts)
    new = {each.name for each in features if each.reads != "bars"}
    beside = [each for each in home.catalogue.features.values() if each.reads in CHAIN_READS and each.name not in new]
    others = audit_chain_features(inputs.quotes, beside, cuts=cuts)
    return [*(asdict(each) for each in proofs if each.feature in new), *(asdict(each) for each in others)]


def _of_bars(home: Home, features: list[Feature], cuts: int) -> list[dict[str, Any]]:
    from openbell.research.audit import audit_features

    if home.tables.exists("bars"):
        return [asdict(each) for each in audit_features(home.tables, home.sessions, features, cuts=cuts)]
    with tempfile.TemporaryDirectory(prefix="openbell-") as folder:
        tables = Tables.open(f"file://{folder}/tables")
        import_batch(tables, generated(names=10, years=5.0), home.sessions, at=now())
        return [asdict(each) for each in audit_features(tables, home.sessions, features, cuts=cuts)]
