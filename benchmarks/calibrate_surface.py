"""`python -m benchmarks calibrate_surface`: every scalar of the surface model again, from the real chains. Prints only.

Each part returns what it fitted and prints its errors: in the sample, and out of it with one chain left out at a time.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
import polars as pl
from scipy.optimize import least_squares

from benchmarks.real_chains import (
    CHAINS,
    DATA,
    HORIZON_DAYS,
    MACRO,
    Chain,
    index_chains,
    out_of_the_money,
    series,
    stock_chains,
)
from openbell.market.chain_activity import OPEN_INTEREST, ROUND, VOLUME, open_interest_terms, round_terms, volume_terms
from openbell.market.surface_model import FAR_YEARS, NEAR_YEARS, realised_volatility
from openbell.quant.ssvi import total_variance

HALF_YEAR = 184 / 365
#: Deviations from the forward that the skew is fitted within.
WITHIN = 2.0
#: Of the quotes that the spread is fitted to: neighbours say the same.
EVERY = 5


def left_out(chains: list[Chain]) -> Iterator[tuple[Chain, list[Chain]]]:
    """Each chain, and the others."""
    for i, chain in enumerate(chains):
        yield chain, chains[:i] + chains[i + 1 :]


@lru_cache
def index_values(column: str) -> dict[object, float]:
    """VIX, VIX3M or VIX6M by session, as fractions."""
    return {day: value / 100 for day, value in series(MACRO / "VIX_term_structure.csv", "Date", column).iter_rows()}


def levels(chains: list[Chain], spy: Chain) -> dict[str, tuple[float, float]]:
    """Volatility at the money on the volatility index, least squares of relative errors, at 30 and at 93 days."""
    found = {}
    for name, column, days in (("level_30", "VIX", 30), ("level_93", "VIX3M", 93)):
        index = index_values(column)

        def line(some: list[Chain], index: dict[object, float] = index, days: int = days) -> np.ndarray:
            x = np.array([index[c.session] for c in some])
            return np.polyfit(x, [c.at_the_money(days) for c in some], 1, w=1 / x)

        errors = {
            c.name: float(np.polyval(line(rest), index[c.session]) - c.at_the_money(days))
            for c, rest in left_out(chains)
        }
        slope, constant = line(chains)
        errors["SPY, never fitted"] = float(constant + slope * index[spy.session] - spy.at_the_money(days))
        print(f"{name}: {constant:.4f} {slope:.4f}; left out, model less market:", _told(errors))
        found[name] = (float(constant), float(slope))
    return found


def term_structure() -> dict[str, object]:
    """Reversion by how VIX and VIX3M foretell VIX6M; ln(VIX3M / VIX) on the VIX's distance to its past mean."""
    frame = pl.DataFrame({"session": list(index_values("VIX3M"))}).sort("session")
    near, far, half = (
        np.array([index_values(c).get(d, np.nan) for d in frame["session"]]) for c in ("VIX", "VIX3M", "VIX6M")
    )
    known = np.isfinite(near + far + half)

    def foretold(pull: float) -> np.ndarray:
        soon, late, later = (-np.expm1(-pull * t) / (pull * t) for t in (NEAR_YEARS, FAR_YEARS, HALF_YEAR))
        slope = (near**2 - far**2) / (soon - late)
        return np.sqrt(np.maximum(near**2 + slope * (later - soon), 1e-6)) - half

    tried = {
        pull: float(np.median(np.abs(foretold(pull)[known]))) for pull in (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0)
    }
    reversion = min(tried, key=tried.__getitem__)
    print(f"reversion: {reversion}; median error of VIX6M by reversion:", _told(tried), f"on {known.sum()} sessions")
    daily = series(MACRO / "VIX_daily.csv", "date", "close")
    log, fitted = daily["value"].log(), {}
    third = np.array([index_values("VIX3M").get(d, np.nan) * 100 for d in daily["session"]])
    for half_life in (21.0, 42.0, 63.0, 126.0, 252.0):
        away = (log.ewm_mean(half_life=half_life, adjust=True) - log).to_numpy()
        here = np.isfinite(third)
        y, x = np.log(third[here]) - log.to_numpy()[here], np.column_stack([np.ones(here.sum()), away[here]])
        middle = len(y) // 2
        early = np.linalg.lstsq(x[:middle], y[:middle], rcond=None)[0]
        later = float(np.sqrt(np.mean((y[middle:] - x[middle:] @ early) ** 2)))
        fitted[half_life] = (np.linalg.lstsq(x, y, rcond=None)[0], later)
    best = min(fitted, key=lambda each: fitted[each][1])
    constant, pull = fitted[best][0]
    print(f"term: {constant:.4f} {pull:.4f} {best}; error of ln VIX3M, second half by the first:",
          _told({k: v[1] for k, v in fitted.items()}))  # fmt: skip
    return {"reversion": reversion, "term": (float(constant), float(pull), best)}


def _slices(chain: Chain, horizon: int = HORIZON_DAYS) -> tuple[np.ndarray, ...]:
    """k, years, volatility, variance at the money, root weight (each expiry the same) of the quotes the skew is of."""
    rows = out_of_the_money(chain.quotes).filter(pl.col("days").is_between(5, horizon) & (pl.col("x").abs() < WITHIN))
    years, atm = rows["years"].to_numpy(), rows["atm"].to_numpy()
    k = np.log(rows["strike"].to_numpy() / rows["forward"].to_numpy())
    count = rows.select(pl.len().over("root", "expiry")).to_series().to_numpy()
    return k, years, rows["iv"].to_numpy(), atm**2 * years, 1 / np.sqrt(count)


def _bent(k: np.ndarray, years: np.ndarray, theta: np.ndarray, rho: float, share: float, gamma: float) -> np.ndarray:
    """Volatilities of slices with the market's own variance at the money."""
    flat = np.column_stack(
        [theta / years, theta / years, *(np.full(len(k), v) for v in (1.0, rho, 2 * share / (1 + abs(rho)), gamma))]
    )
    return np.sqrt(total_variance(flat, k, years) / years)


def _index_bend(scalars: np.ndarray, level: float) -> tuple[float, float, float]:
    depth = np.log(level / 0.2)
    return (
        float(np.tanh(scalars[0] + scalars[1] * depth)),
        1.0,
        float(np.clip(scalars[2] + scalars[3] * depth, 0.05, 0.5)),
    )


def index_skew(chains: list[Chain], spy: Chain) -> dict[str, tuple[float, ...]]:
    """Rho and gamma on the level, all chains together; eta at its bound, where every single fit puts it."""

    def fitted(some: list[Chain]) -> np.ndarray:
        parts = [(_slices(c), c.at_the_money(30)) for c in some]

        def missed(s: np.ndarray) -> np.ndarray:
            return np.concatenate([(_bent(k, t, th, *_index_bend(s, a)) - iv) * w for (k, t, iv, th, w), a in parts])

        return np.asarray(least_squares(missed, [-0.7, 0.0, 0.4, -0.1], loss="soft_l1", f_scale=0.001).x)

    scalars = fitted(chains)
    print("index_skew:", scalars.round(4))
    for name, some in (("left out", list(left_out(chains))), ("SPY, never fitted", [(spy, chains)])):
        for chain, rest in some:
            k, years, iv, theta, _ = _slices(chain)
            error = _bent(k, years, theta, *_index_bend(fitted(rest), chain.at_the_money(30))) - iv
            x = k / np.sqrt(theta)
            put, call = ((x > -0.85) & (x < -0.5)), ((x > 0.5) & (x < 0.85))
            skew, missed = (np.mean(v[put]) - np.mean(v[call]) for v in (iv, error))
            rms = np.sqrt(np.mean(error**2))
            print(f"  {name} {chain.name}: rms {rms:.4f}, put less call at about 25 delta {missed:+.4f} of {skew:.4f}")
    return {"index_skew": tuple(float(s) for s in scalars)}


def stock_skew(chains: list[Chain]) -> dict[str, tuple[float, ...]]:
    """Median rho, share of the largest eta, and gamma of the chains that a single surface fits within 2 points."""
    found, names = [], []
    for chain in chains:
        k, years, iv, theta, w = _slices(chain)

        def bend(q: np.ndarray) -> tuple[float, float, float]:
            return float(np.tanh(q[0])), float(1 / (1 + np.exp(-q[1]))), float(0.5 / (1 + np.exp(-q[2])))

        def missed(q: np.ndarray, d: tuple[np.ndarray, ...] = (k, years, iv, theta, w)) -> np.ndarray:
            return (_bent(d[0], d[1], d[3], *bend(q)) - d[2]) * d[4]

        done = least_squares(missed, [-0.3, 0.0, 0.5], loss="soft_l1", f_scale=0.002)
        if np.sqrt(np.mean((missed(done.x) / w) ** 2)) < 0.02:
            found.append(bend(done.x))
            names.append(chain.name.split()[0])
    table = pl.DataFrame(found, schema=["rho", "share", "gamma"], orient="row").with_columns(pl.Series("name", names))
    by_name = table.group_by("name").median().sort("name")
    print("stock_skew by name:", by_name.rows())
    values = tuple(float(by_name[c].median()) for c in ("rho", "share", "gamma"))
    print("stock_skew:", np.round(values, 4))
    return {"stock_skew": values}


def dividend_yield(chains: list[Chain]) -> dict[str, float]:
    """Mean over chains of the rate in the discount less the growth of the forward, from 30 to 400 days."""
    found = []
    for chain in chains:
        rows = chain.quotes.filter(pl.col("days") >= 30).unique(["root", "expiry"], maintain_order=True).sort("years")
        years = rows["years"].to_numpy()
        growth = np.polyfit(years, np.log(rows["forward"].to_numpy()), 1)[0]
        rate = np.median(-np.log(rows["discount"].to_numpy()) / years)
        found.append(float(rate - growth))
    print(f"index_dividend_yield: {np.mean(found):.4f} from", np.round(found, 4))
    return {"index_dividend_yield": float(np.mean(found))}


def own_level(level_30: tuple[float, float]) -> dict[str, float]:
    """The mix of own realised variances, and the share of the market's premium, that best foretell realised volatility.

    One row per seventh session of every sixth S&P 500 stock 2005-2021: log realised volatility of the next 21 sessions.
    """
    spx = series(MACRO / "SPX_daily.csv", "Date", "Close").join(
        series(MACRO / "VIX_daily.csv", "date", "close"), on="session", suffix="_vix"
    )
    market = np.column_stack([np.log(realised_volatility(spx["value"].to_numpy(), w)) for w in (1.0, 0.0)])
    atm = np.log(level_30[0] + level_30[1] * spx["value_vix"].to_numpy() / 100)
    place = {day: i for i, day in enumerate(spx["session"])}
    stocks = pl.read_parquet(DATA / "stocks" / "sp500_members_daily_2000_2021.parquet").sort("symbol", "date")
    rows = []
    for symbol in stocks["symbol"].unique(maintain_order=True).to_list()[::6]:
        one = stocks.filter(pl.col("symbol") == symbol)
        close = one["adj_close"].cast(pl.Float64).to_numpy()
        squares = np.diff(np.log(np.maximum(close, 1e-6)), prepend=np.nan) ** 2
        ahead = pl.Series(squares).rolling_mean(21).shift(-21).to_numpy() * 252
        own = np.column_stack([np.log(realised_volatility(close, w)) for w in (1.0, 0.0)])
        at = np.array([place.get(day, -1) for day in one["date"]])
        with np.errstate(divide="ignore", invalid="ignore"):
            data = np.column_stack([0.5 * np.log(ahead), own, market[at], atm[at], at])
        rows.append(data[np.isfinite(data).all(axis=1) & (at > 300)][::7])
    table = np.concatenate(rows)

    def missed(p: np.ndarray, t: np.ndarray) -> np.ndarray:
        own, theirs = (p[0] * t[:, i] + (1 - p[0]) * t[:, i + 1] for i in (1, 3))
        return own + p[1] + p[2] * (t[:, 5] - theirs) - t[:, 0]

    done = least_squares(missed, [0.3, 0.0, 0.5], args=(table,)).x
    early = table[:, 6] < np.median(table[:, 6])
    by_first = least_squares(missed, [0.3, 0.0, 0.5], args=(table[early],)).x
    later = table[~early]
    error, plain = np.sqrt(np.mean(missed(by_first, later) ** 2)), np.std(later[:, 1] - later[:, 0])
    print(
        f"short_weight {done[0]:.4f}, premium_share {done[2]:.4f} (constant {done[1]:.3f}) on {len(table)} rows; error "
        f"of the log, second half by the first: {error:.3f}, own 21 sessions alone: {plain:.3f}"
    )
    return {"short_weight": float(done[0]), "premium_share": float(done[2])}


def _spread_rows(chains: list[Chain]) -> dict[str, np.ndarray]:
    parts = []
    for chain in chains:
        live = (
            (pl.col("bid") > 0)
            & (pl.col("ask") > pl.col("bid"))
            & (pl.col("days") <= HORIZON_DAYS)
            & (pl.col("x").abs() < 4)
        )
        rows = chain.quotes.filter(live & pl.col("atm").is_finite()).gather_every(EVERY)
        count = rows.select(pl.len().over("root", "expiry", "right")).to_series().to_numpy()
        names = {"v": "mid", "k": "strike", "t": "years", "a": "atm"}
        part = {key: rows[name].to_numpy() for key, name in names.items()}
        part |= {
            "s": np.full(rows.height, chain.spot),
            "h": ((rows["ask"] - rows["bid"]) / 2).to_numpy(),
            "w": 1 / np.sqrt(count),
        }
        parts.append(part | {"side": (rows["x"] * rows["right"]).to_numpy()})
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def spreads(index: list[Chain], spy: Chain, stocks: list[Chain]) -> dict[str, object]:
    """The half-spread's coefficients: all six on SPX; of them the scale on SPY; scale, value and depth on stocks."""
    from openbell.quant.spread_kernel import half_spreads

    def error(c: np.ndarray, d: dict[str, np.ndarray], ticks: tuple[float, ...]) -> np.ndarray:
        scale, value, years, volatility, inside, middle = c
        coefficients = np.array([scale, value, years, volatility, inside, abs(middle), *ticks])
        return np.log(half_spreads(d["v"], d["s"], d["k"], d["t"], d["a"], coefficients) / d["h"])

    def fitted(
        make: Callable[[np.ndarray], np.ndarray], start: list[float], d: dict[str, np.ndarray], ticks: tuple[float, ...]
    ) -> np.ndarray:
        soft = 0.3 * float(np.median(d["w"]))
        return np.asarray(
            least_squares(lambda p: error(make(p), d, ticks) * d["w"], start, loss="soft_l1", f_scale=soft).x
        )

    def told(name: str, e: np.ndarray, d: dict[str, np.ndarray]) -> None:
        parts = {"all": e, "out of the money": e[d["side"] > 0], "deep in": e[d["side"] < -0.5]}
        sizes = {k: round(float(np.median(np.abs(v))), 3) for k, v in parts.items()}
        print(f"  {name}: median |ln(model / quoted)|", sizes, f"median {np.median(e):+.3f}")

    ticks, cents = (0.025, 0.05, 3.0), (0.005, 0.005, 3.0)
    start, d = [-6.0, 0.4, 0.0, 0.5, -7.0, 1.0], _spread_rows(index)
    spx = fitted(lambda p: p, start, d, ticks)
    spx[5] = abs(spx[5])
    print("spread SPX:", spx.round(4))
    told("SPX", error(spx, d, ticks), d)
    for chain, rest in left_out(index):
        one = _spread_rows([chain])
        told(f"left out {chain.name}", error(fitted(lambda p: p, start, _spread_rows(rest), ticks), one, ticks), one)
    fund_rows = _spread_rows([spy])
    shift = np.array([1.0, 0, 0, 0, 1.0, 0])
    fund = fitted(lambda p: spx + p[0] * shift, [0.0], fund_rows, cents)
    print("spread_fund:", fund.round(4))
    told("SPY", error(spx + fund[0] * shift, fund_rows, cents), fund_rows)
    stock_rows = _spread_rows(stocks)

    def of_stocks(p: np.ndarray) -> np.ndarray:
        return np.array([p[0], p[1], spx[2], spx[3], p[2], spx[5]])

    stock = fitted(of_stocks, [-5.0, 0.4, -6.0], stock_rows, cents)
    print("spread_stock:", stock.round(4))
    told("stocks", error(of_stocks(stock), stock_rows, cents), stock_rows)
    return {"spread_shape": tuple(spx[[2, 3, 5]].tolist()), "spread_index": tuple(spx[[0, 1, 4]].tolist()),
            "spread_fund": float(fund[0]), "spread_stock": tuple(stock.tolist())}  # fmt: skip


def _activity(
    chain: Chain, closes: dict[object, float], anchors: dict[object, float], increment: float
) -> dict[str, np.ndarray]:
    rows = chain.quotes.filter((pl.col("days") <= HORIZON_DAYS) & (pl.col("x").abs() < 8))
    day = rows["expiry"].dt.day().to_numpy()
    friday = (rows["expiry"].dt.weekday() == 5).to_numpy().astype(float)
    # The session before a Good Friday is that month's.
    monthly = ((friday > 0) & (day >= 15) & (day <= 21)) | (rows["expiry"].to_numpy() == np.datetime64("2022-04-14"))
    days = sorted(closes)
    at = days.index(chain.session)
    change = np.log(closes[chain.session] / closes[days[at - 1]])
    deviation = rows["atm"].to_numpy() * np.sqrt(rows["years"].to_numpy())
    shift = np.log(anchors[chain.session] / closes[chain.session]) / deviation
    x, right = rows["x"].to_numpy(), rows["right"].to_numpy().astype(float)
    terms = (right, rows["days"].to_numpy().astype(float), monthly.astype(float), np.maximum(friday, monthly))
    step = rows["strike"].to_numpy() / increment
    return {
        "volume": volume_terms(x, *terms, step, np.full(len(x), change)),
        "open_interest": open_interest_terms(x - shift, *terms),
        "round": np.column_stack(round_terms(step)),
        "traded": rows["volume"].to_numpy(),
        "held": rows["open_interest"].to_numpy(),
    }


def activity(chains: list[Chain], stocks: list[Chain]) -> dict[str, object]:
    """Poisson regressions of volume and of open interest, the latter around the spot's past mean that explains most."""
    spx = series(MACRO / "SPX_daily.csv", "Date", "Close")
    closes = dict(spx.iter_rows())

    def parts(half_life: float) -> list[dict[str, np.ndarray]]:
        anchors = dict(zip(spx["session"], spx["value"].ewm_mean(half_life=half_life, adjust=True), strict=True))
        return [_activity(chain, closes, anchors, 5.0) for chain in chains]

    first = parts(10.0)
    volume, _ = _poisson(np.concatenate([p["volume"] for p in first]), np.concatenate([p["traded"] for p in first]))
    rounds = volume[list(ROUND)]
    print("volume:", dict(zip(VOLUME, volume.round(3).tolist(), strict=True)))
    for chain, part in zip(chains, first, strict=True):
        expected = np.exp(part["volume"] @ volume)
        print(f"  {chain.name}: volume {part['traded'].sum():.0f}, model {expected.sum():.0f}, correlation of logs "
              f"{np.corrcoef(np.log1p(part['traded']), np.log1p(expected))[0, 1]:.2f}")  # fmt: skip
    tried = {}
    for half_life in (2.0, 5.0, 10.0, 21.0, 42.0):
        some = parts(half_life)
        held, offset = np.concatenate([p["held"] for p in some]), np.concatenate([p["round"] @ rounds for p in some])
        tried[half_life] = _poisson(np.concatenate([p["open_interest"] for p in some]), held, offset)
    anchor = min(tried, key=lambda each: tried[each][1])
    interest = tried[anchor][0]
    print("open_interest:", dict(zip(OPEN_INTEREST, interest.round(3).tolist(), strict=True)), "anchor", anchor,
          "deviance by half-life", _told({k: v[1] for k, v in tried.items()}))  # fmt: skip
    ratios = []
    for chain in stocks:
        # Without a history of the stock: a day without a return, open interest around the spot.
        still = {chain.session - dt.timedelta(days=1): chain.spot, chain.session: chain.spot}
        part = _activity(chain, still, still, 2.5 if chain.spot < 500 else 5.0)
        expected = np.exp(part["volume"] @ volume).sum()
        ratios.append((chain.name.split()[0], float(np.log(part["traded"].sum() / expected))))
    by_name = pl.DataFrame(ratios, schema=["name", "log"], orient="row").group_by("name").median().sort("name")
    print("stock_activity:", by_name["log"].median(), by_name.rows())
    return {"volume": tuple(volume.tolist()), "open_interest": tuple(interest.tolist()), "anchor": anchor,
            "stock_activity": float(by_name["log"].median())}  # fmt: skip


def _poisson(terms: np.ndarray, counts: np.ndarray, offset: np.ndarray | None = None) -> tuple[np.ndarray, float]:
    """Coefficients of a log-linear mean by Newton's method, and the mean deviance of the counts over their mean."""
    scale = counts.mean()
    y, shift = counts / scale, np.zeros(len(counts)) if offset is None else offset
    found = np.zeros(terms.shape[1])
    found[0] = -float(np.log(np.mean(np.exp(shift))))
    ridge = 1e-6 * np.eye(terms.shape[1])
    loss = np.inf
    for _ in range(100):
        mean = np.exp(terms @ found + shift)
        step = np.linalg.solve(terms.T @ (terms * mean[:, None]) / len(y) + ridge, terms.T @ (y - mean) / len(y))
        size = 1.0
        while size > 1e-6:
            trial = found + size * step
            with np.errstate(over="ignore", invalid="ignore"):
                new = float(np.mean(np.exp(terms @ trial + shift) - y * (terms @ trial + shift)))
            if new <= loss:
                break
            size /= 2
        if abs(loss - new) < 1e-12:
            break
        found, loss = trial, new
    mean = np.exp(terms @ found + shift)
    deviance = float(2 * np.mean(np.where(y > 0, y * (np.log(np.maximum(y, 1e-300)) - np.log(mean)), 0.0) - (y - mean)))
    found[0] += np.log(scale)
    return found, deviance


def _told(values: dict[object, float] | dict[str, float] | dict[float, float]) -> str:
    return ", ".join(f"{key} {value:+.4f}" for key, value in values.items())


def main() -> None:
    """Fit everything and print it in the order of `SurfaceScalars`."""
    if not CHAINS.exists():
        raise SystemExit(f"The real chains are not at {CHAINS}.")
    *index, spy = index_chains()
    stocks = stock_chains()
    found: dict[str, object] = {
        **levels(index, spy),
        **term_structure(),
        **index_skew(index, spy),
        **dividend_yield(index),
    }
    found |= own_level(found["level_30"])  # type: ignore[arg-type]
    found |= {**stock_skew(stocks), **spreads(index, spy, stocks), **activity(index, stocks)}
    print("\nFITTED = SurfaceScalars(")
    for name, value in found.items():
        rounded = tuple(round(v, 4) for v in value) if isinstance(value, tuple) else round(float(value), 4)  # type: ignore[arg-type]
        print(f"    {name}={rounded},")
    print(")")


if __name__ == "__main__":
    main()
