"""The quality gate: every import passes it; it quarantines and says why, and never drops or repairs a row.

Every rule is causal. What it says of a row follows from rows of the same symbol up to that row, so that the future
reaches no past decision through what was quarantined.
"""

from openbell.market.quality.checking import check
from openbell.market.quality.judging import Judgement, gate
from openbell.market.quality.rules import RULES, Rule

__all__ = ["RULES", "Judgement", "Rule", "check", "gate"]
