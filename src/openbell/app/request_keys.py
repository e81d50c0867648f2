"""Where each key of the stocks request's `config.yaml` (its sections A3, B3 and the keys its code reads) lives here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from openbell.core.errors import nearest


@dataclass(frozen=True)
class Taken:
    """A value of theirs as ours; `note` says what of it was left out."""

    key: str
    value: Any
    note: str = ""


@dataclass(frozen=True)
class Ours:
    """It is our `key`; `convert` turns its value into ours where they differ."""

    key: str
    convert: Callable[[Any], Taken] | None = None

    def taken(self, value: Any) -> Taken:
        """Their value as ours; one that has no counterpart raises ValueError."""
        if self.convert:
            return self.convert(value)
        return Taken(self.key, tuple(value) if isinstance(value, list) else value)


@dataclass(frozen=True)
class Holds:
    """It is always `value` here; another value is refused with `why`."""

    value: Any
    why: str


@dataclass(frozen=True)
class Left:
    """It is not taken over, and `why`."""

    why: str


_BY_ALIAS = (
    "The champion is loaded from the registry of `store.tracking` and checked against its hashes; nothing is unpickled."
)
_FOLDERS = "Models and reports have their place in `home`, and the registry in `store.tracking`."
_SAFETY = "No switch turns safety off."


_IN_A_CANDIDATE = ("name", "algorithm", "tune_hyperparams", "optuna_trials", "base_models")


def _candidates(value: Any) -> Taken:
    names: list[str] = []
    for each in value if isinstance(value, list) else [value]:
        if not isinstance(each, Mapping) or "algorithm" not in each:
            raise ValueError(f"needs a list of candidates, each with an `algorithm`; found {each!r}")
        if strange := sorted(set(map(str, each)) - set(_IN_A_CANDIDATE)):
            raise ValueError(
                f"has a candidate with the unknown key `{strange[0]}`. {nearest(strange[0], _IN_A_CANDIDATE)}"
            )
        names.append(f"{each['algorithm']}_tuned" if each.get("tune_hyperparams") else str(each["algorithm"]))
    left = sorted({str(key) for each in value for key in each} & {"optuna_trials", "base_models"})
    note = f"{', '.join(left)} of a candidate: `tournament.trials` and the ensemble's own members stand for it"
    return Taken("tournament.candidates", tuple(dict.fromkeys(names)), note if left else "")


def _weighting(value: Any) -> Taken:
    return Taken("desks.stocks.weighting", _known_allocator(value))


def _allocators(value: Any) -> Taken:
    if not isinstance(value, list):
        raise ValueError(f"needs a list of optimisers; found {value!r}")
    return Taken("tournament.allocators", tuple(dict.fromkeys(_known_allocator(each) for each in value)))


def _known_allocator(value: Any) -> str:
    from openbell.quant.allocation import ALIASES, ALLOCATORS

    name = ALIASES.get(value, value)
    if name not in ALLOCATORS:
        raise ValueError(f"cannot be {value!r}. {nearest(str(value), (*ALIASES, *ALLOCATORS))}")
    return str(name)


def _alerts(value: Any) -> Taken:
    return Taken("live.notifications.enabled", False) if value == "none" else Taken("live.notifications.method", value)


def _number(key: str) -> Callable[[Any], Taken]:
    def convert(value: Any) -> Taken:
        return Taken(key, float(value) if isinstance(value, int) and not isinstance(value, bool) else value)

    return convert


def _judged(key: str) -> Ours:
    return Ours(f"selection.stocks.{key}", _number(f"selection.stocks.{key}"))


KEYS: Mapping[str, Ours | Holds | Left] = MappingProxyType(
    {
        "live.enabled": Holds(False, "Ordering is never switched on in a file; a person types `--execute`."),
        "live.dry_run": Holds(True, "Ordering is never the default; a person types `--execute`."),
        "live.champion_model_path": Left(_BY_ALIAS),
        "live.fallback_model_path": Left(f"{_BY_ALIAS} Without a champion the desk holds the no-view portfolio."),
        "live.initial_capital": Ours("run.capital", _number("run.capital")),
        "live.positions_file": Left(
            "The journal holds the positions; current_positions.csv in `run.output_dir` shows them."
        ),
        "live.min_trade_size": Ours("trade.min_trade_usd", _number("trade.min_trade_usd")),
        "live.max_position_pct": Ours("safety.position_cap.max_position_pct"),
        "live.max_volume_pct": Ours("safety.liquidity.max_volume_pct"),
        "live.enable_regime_adaptation": Ours("desks.stocks.enable_regime_adaptation"),
        "live.output_dir": Ours("run.output_dir"),
        "live.save_trade_history": Holds(True, "Every order and fill is a record of the journal."),
        "live.safety.validate_before_trade": Holds(True, _SAFETY),
        "live.safety.require_manual_approval": Holds(True, "Nothing is ordered unless a person types `--execute`."),
        "live.safety.max_daily_trades": Ours("safety.count.max_daily_trades"),
        "live.notifications.enabled": Ours("live.notifications.enabled"),
        "live.notifications.method": Ours("live.notifications.method"),
        "live.notifications.email_recipients": Ours("live.notifications.email_recipients"),
        "live.notifications.send_on_kill_switch": Ours("live.notifications.send_on_kill_switch"),
        "live.notifications.send_daily_summary": Ours("live.notifications.send_daily_summary"),
        "ops.track_ic": Holds(True, "The information coefficient is in every report."),
        "ops.ic_lookback_days": Ours("ops.ic_lookback_days"),
        "ops.ic_alert_threshold": Ours("ops.ic_alert_threshold"),
        "ops.kill_switch.enabled": Holds(True, _SAFETY),
        "ops.kill_switch.max_daily_loss_pct": Ours("safety.daily_loss.max_daily_loss_pct"),
        "ops.kill_switch.min_live_sharpe_threshold": Ours("safety.rolling_sharpe.min_live_sharpe_threshold"),
        "ops.kill_switch.min_live_sharpe_lookback_weeks": Ours("safety.rolling_sharpe.min_live_sharpe_lookback_weeks"),
        "ops.alerts": Ours("live.notifications.method", _alerts),
        "ops.email_recipients": Ours("live.notifications.email_recipients"),
        "ops.generate_daily_report": Holds(True, "Every run writes its report."),
        "ops.report_output_dir": Ours("run.output_dir"),
        "risk.max_sector_weight": Ours("safety.sector_cap.max_sector_weight"),
        "risk.max_market_cap_weight.large_cap": Ours("safety.market_cap_classes.large_cap"),
        "risk.max_market_cap_weight.mid_cap": Ours("safety.market_cap_classes.mid_cap"),
        "risk.max_market_cap_weight.small_cap": Ours("safety.market_cap_classes.small_cap"),
        "risk.rebalance_threshold": Ours("safety.rebalance_threshold.rebalance_threshold"),
        "portfolio.costs_bps": Ours("trade.commission_bp", _number("trade.commission_bp")),
        "portfolio.slippage_bps": Ours("trade.slippage_bp", _number("trade.slippage_bp")),
        "portfolio.max_turnover": Ours("safety.turnover.max_turnover"),
        "portfolio.pypfopt.max_weight": Ours("safety.position_cap.max_position_pct"),
        "portfolio.optimizer": Ours("desks.stocks.weighting", _weighting),
        "model_selection.candidates": Ours("tournament.candidates", _candidates),
        "model_selection.optimizers": Ours("tournament.allocators", _allocators),
        "model_selection.selection_weights.sharpe": _judged("sharpe_weight"),
        "model_selection.selection_weights.max_drawdown": _judged("max_drawdown_weight"),
        "model_selection.selection_weights.calmar": _judged("calmar_weight"),
        "model_selection.selection_weights.turnover": _judged("turnover_weight"),
        "model_selection.selection_weights.regime_consistency": _judged("regime_consistency_weight"),
        "model_selection.thresholds.sharpe_min": _judged("sharpe_at_least"),
        "model_selection.thresholds.max_drawdown_max": _judged("max_drawdown_at_least"),
        "model_selection.thresholds.calmar_min": _judged("calmar_at_least"),
        "model_selection.thresholds.turnover_max": _judged("turnover_at_most"),
        "model_selection.candidates_dir": Left(_FOLDERS),
        "model_selection.production_dir": Left(_FOLDERS),
        "model_selection.reports_dir": Left(_FOLDERS),
        "modeling.algorithm": Left("All candidates of `train.candidates` are tried; the evidence chooses."),
        "modeling.lightgbm_params.objective": Holds("regression", "The label is a rank or a return."),
        "modeling.lightgbm_params.metric": Left("Candidates are judged by their rank IC out of sample, not by rmse."),
        "modeling.lightgbm_params.boosting_type": Holds("gbdt", "The one kind of boosting used."),
        "modeling.lightgbm_params.num_leaves": Ours("models.lightgbm.num_leaves"),
        "modeling.lightgbm_params.learning_rate": Ours("models.lightgbm.learning_rate"),
        "modeling.lightgbm_params.feature_fraction": Ours("models.lightgbm.colsample_bytree"),
        "modeling.lightgbm_params.bagging_fraction": Ours("models.lightgbm.subsample"),
        "modeling.lightgbm_params.bagging_freq": Left("Rows are drawn anew for every tree."),
        "modeling.lightgbm_params.verbose": Holds(-1, "Progress is shown by Openbell itself."),
    }
)
