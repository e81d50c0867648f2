"""The 84 features of the options desk: their order, their groups, their ranges (S0.02, S0.03, Annex A)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from openbell.core.declare import STAGE_TWO_OUTPUTS

#: The fixed order in which a model of the options desk sees them.
EIGHTY_FOUR: tuple[str, ...] = (
    "current_price", "return_1d", "return_3d", "return_5d", "return_10d", "return_20d", "return_50d", "rsi_14", "macd",
    "macd_signal", "macd_histogram", "adx_14", "atr_14", "sma_5", "sma_10", "sma_20", "sma_50", "sma_200",
    "price_vs_sma_5", "price_vs_sma_10", "price_vs_sma_20", "price_vs_sma_50", "price_vs_sma_200", "sma_alignment",
    "bb_upper", "bb_middle", "bb_lower", "bb_position", "volume_20d_avg", "volume_vs_avg", "hv_20d", "iv_atm",
    "iv_rank", "iv_percentile", "hv_iv_ratio", "resistance_level", "support_level", "distance_to_resistance",
    "distance_to_support", "position_in_range", "spy_return_1d", "vix_level", "vix_change", "trend_regime",
    "volatility_regime", "volume_regime", "put_call_volume_ratio", "put_call_oi_ratio", "total_option_volume",
    "total_open_interest", "atm_delta_call", "atm_delta_put", "atm_gamma", "atm_theta", "atm_vega", "max_pain_strike",
    "distance_to_max_pain", "obv", "stochastic_k", "stochastic_d", "cci", "williams_r", "mfi", "iv_skew",
    "iv_term_structure", "vix_vs_ma20", "volatility_trend", "parkinson_vol", "garman_klass_vol", "vol_of_vol",
    "gamma_exposure", "delta_exposure", "unusual_activity", "options_flow_sentiment", "resistance_2", "support_2",
    "range_width", "days_in_range", "breakout_probability", "spy_correlation", "spy_return_5d", "smh_vs_spy",
    "combined_state", "days_since_regime_change",
)  # fmt: skip

#: What stage 2 gives and stage 1 must never see (S0.04).
FORBIDDEN = STAGE_TWO_OUTPUTS

#: The groups of S0.03 over the 84 real names: 7 + 14 + 14 + 10 + 10 + 5 + 15 + 5 + 4.
GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "price and returns": (
            "current_price", "return_1d", "return_3d", "return_5d", "return_10d", "return_20d", "return_50d",
        ),
        "technical": (
            "rsi_14", "macd", "macd_signal", "macd_histogram", "adx_14", "atr_14", "volume_20d_avg", "volume_vs_avg",
            "obv", "stochastic_k", "stochastic_d", "cci", "williams_r", "mfi",
        ),
        "volatility": (
            "hv_20d", "iv_atm", "iv_rank", "iv_percentile", "hv_iv_ratio", "iv_skew", "iv_term_structure", "vix_level",
            "vix_change", "vix_vs_ma20", "volatility_trend", "parkinson_vol", "garman_klass_vol", "vol_of_vol",
        ),
        "support and resistance": (
            "resistance_level", "support_level", "resistance_2", "support_2", "distance_to_resistance",
            "distance_to_support", "position_in_range", "range_width", "days_in_range", "breakout_probability",
        ),
        "options market": (
            "put_call_volume_ratio", "put_call_oi_ratio", "total_option_volume", "total_open_interest",
            "max_pain_strike", "distance_to_max_pain", "gamma_exposure", "delta_exposure", "unusual_activity",
            "options_flow_sentiment",
        ),
        "at-the-money greeks": ("atm_delta_call", "atm_delta_put", "atm_gamma", "atm_theta", "atm_vega"),
        "moving averages and market context": (
            "sma_5", "sma_10", "sma_20", "sma_50", "sma_200", "price_vs_sma_5", "price_vs_sma_10", "price_vs_sma_20",
            "price_vs_sma_50", "price_vs_sma_200", "sma_alignment", "spy_return_1d", "spy_return_5d", "spy_correlation",
            "smh_vs_spy",
        ),
        "regime": (
            "trend_regime", "volatility_regime", "volume_regime", "combined_state", "days_since_regime_change",
        ),
        "bollinger bands": ("bb_upper", "bb_middle", "bb_lower", "bb_position"),
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Range:
    """Where a feature lies. A `hard` bound is its definition's; the others are where it usually lies (Annex A)."""

    low: float
    high: float
    hard: bool = False


_POSITIVE = Range(math.ulp(0.0), math.inf, hard=True)
_PERCENT = Range(0.0, 100.0, hard=True)
_USUAL: Mapping[str, tuple[float, float]] = {
    "return_1d": (-0.10, 0.10), "cci": (-200.0, 200.0), "bb_position": (0.0, 1.0), "hv_20d": (0.10, 1.0),
    "iv_atm": (0.10, 1.0), "hv_iv_ratio": (0.5, 2.0), "iv_skew": (-0.10, 0.10), "iv_term_structure": (-0.10, 0.10),
    "vix_level": (10.0, 50.0), "parkinson_vol": (0.1, 1.0), "garman_klass_vol": (0.1, 1.0), "vol_of_vol": (0.01, 0.5),
    "put_call_volume_ratio": (0.3, 3.0), "put_call_oi_ratio": (0.3, 3.0), "atm_delta_call": (0.4, 0.6),
    "atm_delta_put": (-0.6, -0.4), "distance_to_max_pain": (-0.10, 0.10), "range_width": (0.05, 0.30),
    "spy_return_1d": (-0.10, 0.10), "spy_return_5d": (-0.10, 0.10), "smh_vs_spy": (-0.10, 0.10),
    **{f"price_vs_sma_{window}": (-0.20, 0.20) for window in (5, 10, 20, 50, 200)},
}  # fmt: skip
_EXACT: Mapping[str, tuple[float, float]] = {
    "williams_r": (-100.0, 0.0), "sma_alignment": (0.0, 1.0), "volatility_trend": (0.0, 1.0),
    "unusual_activity": (0.0, 1.0), "options_flow_sentiment": (-1.0, 1.0), "spy_correlation": (-1.0, 1.0),
    "position_in_range": (0.0, 1.0), "days_in_range": (0.0, 60.0), "breakout_probability": (0.0, 1.0),
    "trend_regime": (0.0, 4.0), "volatility_regime": (0.0, 4.0), "volume_regime": (0.0, 2.0),
    "combined_state": (0.0, 74.0), "days_since_regime_change": (0.0, 60.0),
}  # fmt: skip
_ABOVE_ZERO = (
    "current_price", "atr_14", "volume_20d_avg", "volume_vs_avg", "total_option_volume", "total_open_interest",
    "resistance_level", "support_level", "resistance_2", "support_2", "distance_to_resistance", "distance_to_support",
    "max_pain_strike", "sma_5", "sma_10", "sma_20", "sma_50", "sma_200",
)  # fmt: skip

#: Ranges of Annex A, for those of the 84 that have one.
RANGES: Mapping[str, Range] = MappingProxyType(
    {
        **{name: Range(*bounds) for name, bounds in _USUAL.items()},
        **{name: Range(*bounds, hard=True) for name, bounds in _EXACT.items()},
        **dict.fromkeys(_ABOVE_ZERO, _POSITIVE),
        **dict.fromkeys(("rsi_14", "adx_14", "stochastic_k", "stochastic_d", "mfi", "iv_rank", "iv_percentile"),
                        _PERCENT),
    }
)  # fmt: skip

#: Features that move in steps, flags, regimes and levels, which may rightly keep one value for months.
STEPWISE = frozenset(
    {
        "sma_alignment", "volatility_trend", "unusual_activity", "trend_regime", "volatility_regime", "volume_regime",
        "combined_state", "max_pain_strike", "resistance_level", "resistance_2", "support_level", "support_2",
    }
)  # fmt: skip
#: Counters of sessions: they stand at 0 or at their cap for long, and nowhere else.
COUNTERS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"days_in_range": (0.0, 60.0), "days_since_regime_change": (0.0, 60.0)}
)
