"""An account that follows signals in plain Python, bar by bar: slow, and written from the rules alone."""

import math


def follow(orders, bars, rules):
    """`orders` and `bars` as lists of dictionaries; returns (marks by moment, trades) as lists.

    A position looks at its own stop and target in every bar as it comes; nothing is worked out beforehand.
    """
    by_moment = {}
    for bar in bars:
        by_moment.setdefault(bar["at"], {})[bar["symbol"]] = bar
    moments = sorted(by_moment)
    own = {}
    for bar in bars:
        own.setdefault(bar["symbol"], []).append(bar)
    last_of_session = {}
    for moment in moments:
        for bar in by_moment[moment].values():
            last_of_session[bar["session"]] = moment
    due = {}
    for order in orders:
        if not order["side"] or (order["side"] < 0 and not rules.short):
            continue
        path = own[order["symbol"]]
        at = next(i for i, bar in enumerate(path) if bar["at"] == order["as_of"]) + 1
        if at == len(path) or (not rules.overnight and path[at]["session"] != path[at - 1]["session"]):
            continue
        due.setdefault(path[at]["at"], []).append(order)
    rate = (rules.commission_bp + rules.slippage_bp) / 1e4
    cash, held, price, seen, marks, trades = rules.capital_usd, {}, {}, {}, [], []
    days = sorted({bar["session"] for bar in bars})
    before = None

    def leave(symbol, at_price, why, rated=rate):
        nonlocal cash
        position = held.pop(symbol)
        paid = abs(position["units"]) * at_price * rated
        cash += position["units"] * at_price - paid
        position["cost"] += paid
        position["profit"] = position["units"] * (at_price - position["entry"]) - position["cost"] - position["borrow"]
        trades.append({**position, "symbol": symbol, "exit": at_price, "why": why, "left": now})

    for now in moments:
        here = by_moment[now]
        session = next(iter(here.values()))["session"]
        nights = (session - before).days if before is not None and session != before else 0
        before = session
        for symbol in list(held):
            position = held[symbol]
            if position["units"] < 0:
                fee = -position["units"] * price[symbol] * rules.borrow_annual / 365 * nights
                cash -= fee
                position["borrow"] += fee
            if symbol not in here and days.index(session) - days.index(seen[symbol]) > rules.staleness_sessions:
                lost = 1 + math.copysign(1, position["units"]) * rules.delisting_return
                leave(symbol, price[symbol] * lost, "vanished", 0.0)
        for symbol, bar in here.items():
            price[symbol], seen[symbol] = bar["open"], session
        for symbol in list(held):  # what the open itself decides
            if symbol not in here:
                continue
            position, begin = held[symbol], here[symbol]["open"]
            side = math.copysign(1, position["units"])
            if position["bars"] == rules.horizon_bars and rules.exit_at == "open":
                leave(symbol, side * min(side * begin, side * position["target"]), "time")
            elif position["late"]:
                leave(symbol, side * min(side * begin, side * position["target"]), "session")
            elif side * begin <= side * position["stop"]:
                leave(symbol, begin, "stop")
            elif side * begin >= side * position["target"]:
                leave(symbol, position["target"], "target")
        waiting = []
        for order in sorted(due.get(now, []), key=lambda each: (-each["confidence"], each["symbol"])):
            symbol = order["symbol"]
            if symbol not in held:
                waiting.append(order)
                continue
            if (held[symbol]["units"] > 0) == (order["side"] > 0):
                continue
            surer = order["confidence"] - held[symbol]["confidence"]
            if surer < 0 and -surer >= rules.conflict_margin - 1e-12:
                continue
            leave(symbol, here[symbol]["open"], "contrary")
            if surer > 0 and surer >= rules.conflict_margin - 1e-12:
                waiting.append(order)
        for order in waiting:
            worth = cash + sum(each["units"] * price[name] for name, each in held.items())
            gross = sum(abs(each["units"]) * price[name] for name, each in held.items())
            if len(held) >= rules.max_positions or worth <= 0:
                continue
            room = (rules.max_gross * worth - gross) / (1 + rules.max_gross * rate)
            if room <= 1e-9 * worth:
                continue
            size = min(order["fraction"] * worth / (1 + order["fraction"] * rate), room)
            symbol, begin = order["symbol"], here[order["symbol"]]["open"]
            cash -= order["side"] * size + size * rate
            held[symbol] = {
                "units": order["side"] * size / begin, "entry": begin, "entered": now, "cost": size * rate,
                "borrow": 0.0, "confidence": order["confidence"], "stop": order["stop_price"],
                "target": order["target_price"], "bars": 0, "late": False,
            }  # fmt: skip
        for symbol in list(held):  # what happens inside the bar, the worse first
            if symbol not in here:
                continue
            bar, position = here[symbol], held[symbol]
            side = math.copysign(1, position["units"])
            worst, best = (bar["low"], bar["high"]) if side > 0 else (bar["high"], bar["low"])
            stop, target, begin = position["stop"], position["target"], bar["open"]
            position["bars"] += 1
            path = own[symbol]
            place = next(i for i, each in enumerate(path) if each["at"] == now)
            final = place + 1 == len(path) or path[place + 1]["session"] != session
            if side * worst <= side * stop:
                leave(symbol, side * min(side * begin, side * stop), "stop")
            elif side * best >= side * target:
                entered_beyond = position["entered"] == now and side * begin >= side * target
                leave(symbol, begin if entered_beyond else target, "target")
            elif position["bars"] == rules.horizon_bars and rules.exit_at == "close":
                leave(symbol, bar["close"], "time")
            elif not rules.overnight and final:
                if now == last_of_session[session]:
                    leave(symbol, bar["close"], "session")
                else:
                    position["late"] = True
        for symbol, bar in here.items():
            price[symbol] = bar["close"]
        marks.append(cash + sum(each["units"] * price[name] for name, each in held.items()))
        if marks[-1] <= 0:
            return marks + [marks[-1]] * (len(moments) - len(marks)), trades
    return marks, trades
