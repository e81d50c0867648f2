"""The sections of the settings: every key with its type, default and bounds, and one line on what it does."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator


class Section(BaseModel):
    """Strict and frozen: a wrong type, an unknown key or a later change is an error."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


def without_password(url: str) -> str:
    """`url`, refused where it carries a password."""
    if urlsplit(url).password:
        raise ValueError("must not carry a password; put it in the environment (PGPASSWORD, AWS_SECRET_ACCESS_KEY)")
    return url


class Store(Section):
    """Where bytes live, each chosen by URL; empty means inside `home`."""

    tables: str = Field("", description="Tables: file:///path or s3://bucket/prefix.")
    journal: str = Field("", description="Journal: sqlite:////absolute/file.db or postgresql://user@host/database.")
    tracking: str = Field("", description="Experiments and models: an MLflow tracking URI.")
    models: str = Field(
        "", description="Where trainings of the options desk are kept besides: file:///path or s3://bucket/prefix."
    )

    predictions: str = Field(
        "", description="The gate's predictions, keys and A/B: sqlite:////absolute/file.db or postgresql://…"
    )

    signals: str = Field("", description="Signals: sqlite:////absolute/file.db or postgresql://user@host/database.")

    lab: str = Field("", description="Jobs and presets of the lab: sqlite:////absolute/file.db or postgresql://…")

    @field_validator("tables", "journal", "tracking", "models", "predictions", "signals", "lab")
    @classmethod
    def _without_password(cls, url: str) -> str:
        return without_password(url)


class Data(Section):
    """Which market is decided on."""

    calendar: str = Field("XNYS", description="Exchange calendar that says what a session is.")
    universe: str = Field("", description="Universe to choose from; empty takes the only one in the tables.")
    benchmark: str = Field("SPY", description="Symbol of the benchmark, or equal_weight for the universe's own index.")
    cash_rate: str = Field("", description="Name of the imported rate that cash earns in a tournament; empty: nothing.")


class Run(Section):
    """The daily run."""

    lead_minutes: int = Field(30, ge=0, le=390, description="Minutes before the open at which the decision is made.")
    capital: float = Field(100_000.0, gt=0, description="Cash in USD that an account begins with.")
    output_dir: str = Field(
        "live", min_length=1, description="Folder of the outputs; each session has its own below it."
    )


class Trade(Section):
    """From targets to whole-share trades, and what a trade costs: the same in the back-test and at the broker."""

    min_trade_usd: float = Field(100.0, ge=0, description="Smallest trade in USD; a smaller one waits.")
    commission_bp: float = Field(1.0, ge=0, description="Commission in basis points of the traded value.")
    slippage_bp: float = Field(2.0, ge=0, description="Slippage in basis points of the traded value.")
    impact: float = Field(
        0.0, ge=0, description="Market impact in daily volatilities at a trade of the day's whole volume (square root)."
    )


class Train(Section):
    """Walk-forward training and the choice of a champion."""

    candidates: tuple[str, ...] = Field((), description="Models to try; empty takes the desk's own list.")
    history_years: float = Field(10.0, gt=0, description="Years of decisions that training looks back on.")
    warmup_sessions: int = Field(252, ge=0, description="First sessions of the data, not decided on: look-backs fill.")
    folds: int = Field(5, ge=1, description="Walk-forward folds, each tested on sessions that it was not trained on.")
    min_train_sessions: int = Field(504, ge=1, description="Sessions that the first fold trains on, at least.")
    train_sessions: int | None = Field(None, description="Sessions a fold trains on; unset takes all before it.")
    stride: int = Field(5, ge=1, description="Training takes one decision session in so many.")
    alpha: float = Field(0.01, gt=0, lt=1, description="Family-wise error rate at which a candidate survives StepM.")
    replications: int = Field(2_000, ge=1_000, description="Bootstrap replications of StepM.")
    block_horizons: float = Field(2.0, ge=2, description="Mean bootstrap block, in horizons of the label.")
    min_names: int = Field(10, ge=2, description="A date with fewer scored names has no information coefficient.")
    seed: int = Field(0, ge=0, description="Seed of every random choice.")
    jobs: int = Field(2, ge=1, description="Threads; they change the time, not the result.")


class Tournament(Section):
    """The tournament: which models and allocators meet, on what span, and what a champion must survive."""

    candidates: tuple[str, ...] = Field(
        (), description="Models that meet; empty takes the desk's own list. NAME_tuned is NAME with tuned parameters."
    )
    allocators: tuple[str, ...] = Field((), description="Allocators each model is paired with; empty: the desk's own.")
    history_years: float = Field(12.0, gt=0, description="Years of decisions that it looks back on.")
    train_sessions: int = Field(1_260, ge=60, description="Sessions of the rolling training window: 5 years.")
    refit_sessions: int = Field(252, ge=5, description="Sessions between two fits of a model: a year.")
    holdout_share: float = Field(
        0.15, gt=0, lt=0.9, description="Last part of the sessions that no selection reads, fixed at the first one."
    )
    alpha: float = Field(
        0.01, gt=0, lt=0.5, description="Family-wise error of the test that a champion must survive (StepM)."
    )
    alpha_per_year: float = Field(
        0.05, gt=0, lt=1, description="Error that all tournaments of a desk may spend in one calendar year."
    )
    deflated_sharpe: float = Field(
        0.95, ge=0, le=1, description="Deflated Sharpe ratio of active returns that a champion has at least."
    )
    replications: int = Field(2_000, ge=1_000, description="Bootstrap replications of each test.")
    block_horizons: float = Field(2.0, ge=2, description="Mean bootstrap block, in holding periods.")
    trials: int = Field(100, ge=1, description="Optuna trials for each tuned candidate.")
    time_budget_minutes: float = Field(
        30.0, gt=0, description="Minutes for all tuning; where it is short, tuning takes fewer sessions and says so."
    )
    cpcv_groups: int = Field(6, ge=0, description="Groups of combinatorial purged cross-validation; 0 leaves it out.")
    cpcv_test_groups: int = Field(2, ge=1, description="Groups of each split that are tested on.")
    delisting_return: float = Field(0.0, gt=-1, le=0, description="What a holding loses when its prices stop for good.")


class Options(Section):
    """The options desk: what stands beside an underlying, what its trades cost, when they end, how it is trained."""

    benchmark: str = Field("SPY", description="Symbol whose returns are the market's context.")
    volatility_index: str = Field("VIX", description="The volatility index: context, and level of the model.")
    volatility_index_3m: str = Field("VIX3M", description="Its three-month brother; without its bars it is left out.")
    rate: str = Field("DFF", description="Imported rate of the forwards; without it they carry no interest.")
    commission_usd: float = Field(0.65, ge=0, description="Commission per contract and side.")
    spread_fraction: float = Field(
        1.0, ge=0, le=1, description="Part of the half-spread that a fill pays: 1 is the bid or the ask, 0 the mid."
    )
    profit_target_credit: float = Field(0.5, gt=0, description="A credit position ends at this part of its credit.")
    profit_target_debit: float = Field(1.0, gt=0, description="A debit position is closed at this gain on its debit.")
    stop_credit: float = Field(1.0, gt=0, description="A credit position is closed at a loss of so many credits.")
    exit_days_before_expiry: int = Field(0, ge=0, description="Close so many days before the near expiry; 0 keeps it.")
    similar_days: int = Field(60, ge=10, description="Similar past days that parameters are simulated on.")
    candidates: tuple[str, ...] = Field((), description="Models of stage 1; empty takes the desk's own list.")
    history_years: float = Field(12.0, gt=0, description="Years of decisions that training looks back on.")
    min_train_sessions: int = Field(504, ge=60, description="Known decisions before the first forecast.")
    train_sessions: int | None = Field(None, description="Decisions a fit looks back on; unset takes all before it.")
    refit_sessions: int = Field(252, ge=5, description="Sessions between two fits of the walk-forward.")
    max_positions: int = Field(10, ge=1, description="Positions that are open at once, at most.")


class Gate(Section):
    """The gate: how its models are trained and judged, what a proposed trade costs, which arm of the A/B answers."""

    commission_usd: float = Field(0.65, ge=0, description="Commission per contract and side; expiry itself costs none.")
    candidates: tuple[str, ...] = Field((), description="Models to compare; empty takes all there are.")
    min_trades: int = Field(100, ge=1, description="A symbol and strategy with fewer known trades never speaks alone.")
    min_train_days: int = Field(120, ge=20, description="Days of known trades before the first forecast.")
    train_days: int | None = Field(None, description="Days a fit looks back on; unset takes all before it.")
    refit_days: int = Field(60, ge=1, description="Days between two fits of the walk-forward.")
    calibration_share: float = Field(
        0.2,
        gt=0,
        lt=0.5,
        description="Last part of the training days: it calibrates the odds and sets thresholds.",
    )
    thresholds_by: Literal["f1", "expected_value"] = Field(
        "expected_value", description="What a threshold makes largest on validation days."
    )
    threshold_low: float = Field(0.35, ge=0, le=1, description="Lowest threshold that is tried.")
    threshold_high: float = Field(0.75, ge=0, le=1, description="Highest threshold that is tried.")
    thresholds_file: str = Field(
        "", description="gate_thresholds.json to use instead of tuned ones: {symbol or group: {strategy: threshold}}."
    )
    ab_salt: str = Field("openbell", min_length=1, description="Salt of the assignment to the arms of the A/B test.")
    ab_share: float = Field(0.5, ge=0, le=1, description="Share of trade ids that the test arm answers.")
    ab_control: str = Field("simple", description="Model of the control arm.")
    ab_test: str = Field("hierarchy", description="Model of the test arm.")


class Signals(Section):
    """The signals desk: what its bars are, what a model learns to call, how it is trained, how a signal lives."""

    base: Literal["1m", "5m", "15m", "1h", "1d"] = Field(
        "1d", description="Bars that it decides on; longer frames are built from them."
    )
    symbols: tuple[str, ...] = Field((), description="Symbols to decide on; empty takes all that have bars of `base`.")
    label: str = Field(
        "direction_5", description="What is learnt: direction_N (forward return) or barrier_N (triple barrier)."
    )
    decide_every: int = Field(1, ge=1, description="A decision is made at every so many base bars of a session.")
    candidates: tuple[str, ...] = Field((), description="Models to compare; empty takes the desk's own list.")
    weights: tuple[float, ...] = Field(
        (0.4, 0.3, 0.3), description="Weights of the vote: XGBoost, random forest, LSTM."
    )
    coverage: float = Field(0.9, ge=0.5, lt=1, description="Coverage that the conformal sets promise.")
    history_years: float = Field(10.0, gt=0, description="Years of decisions that training looks back on.")
    min_train_sessions: int = Field(504, ge=2, description="Sessions of known decisions before the first forecast.")
    train_sessions: int | None = Field(None, description="Sessions a fit looks back on; unset takes all before it.")
    refit_sessions: int = Field(252, ge=1, description="Sessions between two fits of the walk-forward.")
    calibration_share: float = Field(
        0.25, gt=0, lt=0.5, description="Last part of the training sessions: it calibrates and conforms."
    )
    max_train_rows: int = Field(
        200_000, ge=1_000, description="Decisions a fit takes at most; more are thinned evenly in time."
    )
    max_active: int = Field(3, ge=1, description="Signals of a symbol that are active at once, at most.")
    conflict_margin: float = Field(
        0.10, ge=0, le=1, description="How much surer one of two contrary signals must be to win."
    )
    max_positions: int = Field(10, ge=1, description="Positions of the back-test that are open at once, at most.")
    model_seconds: float = Field(
        0.1, gt=0, description="A model that takes longer is left out of the vote of a moment."
    )
    keep_holds: bool = Field(False, description="Whether HOLD is stored too, and not only counted.")
    signal_cache_seconds: float = Field(2.0, ge=0, description="How long the active signals of a symbol are cached.")
    archive_days: float = Field(30.0, gt=0, description="Ended signals go to the archive after so many days.")


class Session(Section):
    """The session desk: which product, until when it looks, what it learns to call, how it is traded and trained."""

    product: str = Field("", description="Product to decide on, such as ES or SPY; empty takes the only one there is.")
    base: Literal["1m", "5m", "15m", "1h"] = Field("1m", description="Bars within the session that it looks at.")
    cutoff: str = Field(
        "10:15",
        pattern=r"^([01]\d|2[0-3]):[0-5]\d$",
        description="When the decision is made, on the clock of the exchange; nothing later is seen.",
    )
    label: str = Field(
        "direction_from_cutoff",
        description="What is learnt: archetype_by_range, archetype_by_structure, direction_of_day or "
        "direction_from_cutoff.",
    )
    vix: str = Field("VIX", description="Symbol or rate of the volatility index; without data it is left out.")
    dollar: str = Field("DTWEXBGS", description="Symbol or rate of the dollar index; without data it is left out.")
    ten_year: str = Field("DGS10", description="Symbol or rate of the 10-year yield; without data it is left out.")
    crude: str = Field("USO", description="Symbol of crude oil; without data it is left out.")
    stop_atr: float = Field(
        0.0, ge=0, description="A position is closed this many average true ranges against it; 0: at the close alone."
    )
    candidates: tuple[str, ...] = Field((), description="Models to compare; empty takes the desk's own list.")
    history_years: float = Field(20.0, gt=0, description="Years of sessions that training looks back on.")
    min_train_sessions: int = Field(252, ge=20, description="Known sessions before the first forecast.")
    train_sessions: int | None = Field(None, description="Sessions a fit looks back on; unset takes all before it.")
    refit_sessions: int = Field(63, ge=1, description="Sessions between two fits of the walk-forward.")
    calibration_share: float = Field(
        0.25, gt=0, lt=0.5, description="Last part of the training sessions: it calibrates the probabilities."
    )
    min_sessions: int = Field(
        250, ge=30, description="Forecasts below which no result is called evidence, whatever it is."
    )
    drift_window: int = Field(60, ge=20, description="Sessions of the rolling log-loss and AUC of the drift watch.")
    drift_false_alarms: float = Field(
        0.05, gt=0, lt=0.5, description="Chance of a false drift alarm within a year without any drift."
    )


class Lab(Section):
    """The web lab."""

    port: int = Field(8050, ge=0, le=65_535, description="Port of `openbell lab` on this machine; 0 takes a free one.")
    jobs: int = Field(1, ge=1, description="Trainings that run at once; others wait in the queue.")
    max_upload_bytes: int = Field(5_000_000, ge=1_024, description="Largest file that a page takes.")
    refresh_seconds: float = Field(5.0, ge=1, description="How often live tables look for news.")


class Serve(Section):
    """The HTTP service of the gate."""

    environment: Literal["development", "production"] = Field(
        "development", description="In production the prediction log must be PostgreSQL."
    )
    host: str = Field("127.0.0.1", min_length=1, description="Address it listens on.")
    port: int = Field(8000, ge=0, le=65_535, description="Port it listens on; 0 takes a free one.")
    workers: int = Field(1, ge=1, description="Processes that answer.")
    predict_per_minute: int = Field(100, ge=1, description="Requests a key may make per minute, but for batches.")
    batch_per_minute: int = Field(20, ge=1, description="Batches a key may send per minute.")
    max_body_bytes: int = Field(262_144, ge=1_024, description="Largest body of a request.")
    timeout_seconds: float = Field(5.0, gt=0, description="A request that takes longer is answered by 504.")
    sources: tuple[str, ...] = Field(
        ("companion", "live", "redis", "stored"), description="Sources of market data, the first that answers speaks."
    )
    companion_url: str = Field("http://127.0.0.1:8765", description="The companion's own service.")
    companion_folder: str = Field(
        "", description="Where recommendations and 5-minute predictions are read and written."
    )
    max_age_seconds: float = Field(300.0, gt=0, description="Market data older than this are refused in a session.")
    breaker_failures: int = Field(5, ge=1, description="Failures in a row after which a source is left alone.")
    breaker_seconds: float = Field(60.0, gt=0, description="How long it is left alone.")
    cache: str = Field("memory://", description="memory:// or redis://host:port/db, shared by all workers.")
    market_seconds: float = Field(300.0, ge=0, description="How long market data are kept.")
    feature_seconds: float = Field(60.0, ge=0, description="How long the features of a request are kept.")
    prediction_seconds: float = Field(300.0, ge=0, description="How long an answer is kept.")
    cache_entries: int = Field(1_000, ge=1, description="Entries of each cache in memory.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Level of the log.")
    log_file: str = Field("", description="File of the log; empty writes it to standard error.")

    @field_validator("companion_url", "cache")
    @classmethod
    def _without_password(cls, url: str) -> str:
        return without_password(url)


class Notifications(Section):
    """Whom the last step of a run tells. For now the message is written to the log, whatever the method."""

    enabled: bool = Field(False, description="Whether the run ends with a message.")
    method: Literal["email", "slack", "webhook"] = Field("email", description="How it is sent.")
    email_recipients: tuple[str, ...] = Field((), description="Addresses, for the method email.")
    webhook_url: SecretStr | None = Field(None, description="Address for slack and webhook; a secret.")
    send_on_kill_switch: bool = Field(True, description="Whether a triggered kill switch is told at once.")
    send_daily_summary: bool = Field(False, description="Whether every run is told, also an uneventful one.")

    @model_validator(mode="after")
    def _reaches_somebody(self) -> Notifications:
        if self.enabled and self.method == "email" and not self.email_recipients:
            raise ValueError("are enabled by email, but `email_recipients` is empty; name at least one address")
        if self.enabled and self.method != "email" and self.webhook_url is None:
            raise ValueError(
                f"are enabled by {self.method}, but there is no `webhook_url`; "
                "set OPENBELL__LIVE__NOTIFICATIONS__WEBHOOK_URL in the environment"
            )
        return self


class Live(Section):
    """What surrounds the run once it is live."""

    notifications: Notifications = Field(default_factory=Notifications)


class Ops(Section):
    """How the model's health is watched."""

    ic_lookback_days: int = Field(20, ge=2, description="Sessions over which the information coefficient is averaged.")
    ic_alert_threshold: float = Field(0.02, description="Mean below which a model is reported for review.")


#: Where bytes lie, how many threads work, whom to tell: these change no decision and are not in the settings' hash.
PLACES = ("home", "store.", "serve.", "lab.", "run.output_dir", "train.jobs", "live.notifications.")
