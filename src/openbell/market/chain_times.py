"""The moment a quote table was downloaded, out of the free text it carries in many languages and formats.

A browser writes the same moment as ``September 14, 2023 at 4:31 PM EDT``, ``14. September 2023 um 22:31 MESZ``,
``14 de septiembre de 2023, 22:31 CEST`` or ``2023年9月14日 GMT+8 04:31``. A text is liberal in form and strict in
meaning: two numbers that could be day and month either way, and a clock without a time zone, are refused.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from dataclasses import dataclass

from openbell.core.errors import BadInput
from openbell.core.time import Sessions
from openbell.market.contracts import NEW_YORK

#: The beginnings that tell a month in English, German, French, Spanish, Italian, Portuguese, Dutch, the Nordic
#: languages, Polish, Czech, Turkish and Russian, without accents; the longest fitting one wins.
MONTHS: tuple[tuple[str, ...], ...] = (
    ("jan", "januar", "janv", "ene", "gen", "tammi", "stycz", "led", "ocak", "oca", "янв", "sty"),
    ("feb", "fev", "fevr", "helmi", "lut", "unor", "unora", "subat", "sub", "фев"),
    ("mar", "marz", "maerz", "mrz", "mars", "mrt", "maart", "maalis", "brez", "мар"),
    ("apr", "avr", "abr", "huhti", "kwi", "kwie", "dub", "nis", "апр"),
    ("may", "mai", "mag", "mei", "maj", "toukok", "kvet", "kvetna", "mayis", "мая", "май", "mayo", "maio"),
    ("jun", "juin", "giu", "kesak", "czerw", "cerv", "cervna", "haz", "июн", "cze"),
    ("jul", "juil", "lug", "heinak", "lip", "cervenc", "tem", "июл"),
    ("aug", "aou", "aout", "ago", "elok", "sie", "srp", "agu", "авг"),
    ("sep", "set", "syysk", "wrz", "zari", "eyl", "сен"),
    ("oct", "okt", "oto", "ott", "out", "lokak", "paz", "rij", "eki", "окт"),
    ("nov", "marrask", "lis", "kas", "ноя"),
    ("dec", "dez", "dic", "joul", "gru", "pros", "ara", "дек"),
)
_WORDS = sorted(((word, month) for month, words in enumerate(MONTHS, 1) for word in words), key=lambda w: -len(w[0]))
#: Offsets from UTC in hours. New York's `ET` follows its own daylight saving.
ZONES: dict[str, float] = {
    "UTC": 0, "GMT": 0, "Z": 0, "WET": 0, "BST": 1, "WEST": 1, "CET": 1, "MEZ": 1, "CEST": 2, "MESZ": 2,
    "HNEC": 1, "HAEC": 2, "HNE": -5, "HAE": -4,
    "EET": 2, "EEST": 3, "MSK": 3, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8,
    "PDT": -7, "AKST": -9, "AKDT": -8, "HST": -10, "BRT": -3, "JST": 9, "KST": 9, "HKT": 8, "SGT": 8, "AWST": 8,
    "ACST": 9.5, "ACDT": 10.5, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13,
}  # fmt: skip
NAMED = {"ET": "America/New_York", "CT": "America/Chicago", "PT": "America/Los_Angeles", "MT": "America/Denver"}
#: `IST` is India's, Israel's and Ireland's.
AMBIGUOUS = {"IST": "India's, Israel's and Ireland's"}
_OFFSET = re.compile(r"(?:utc|gmt|(?<![\d#]))\s*([+\u2212-])(\d{1,2})(?::?(\d{2}))?(?![\d:])")
_CLOCK = re.compile(
    r"(?<![\d.:])(\d{1,2})\s*[:.h]\s*(\d{2})(?:[:.](\d{2}))?(?:\.\d+)?(?!\d)\s*(am|pm|a\.?\s?m\b\.?|p\.?\s?m\b\.?)?"
)
_AFTERNOON = ("下午", "午後", "오후")
_MORNING = ("上午", "午前", "오전")


@dataclass(frozen=True, slots=True)
class Stated:
    """What a text says: its day, its clock (None without one) and the moment (None where the zone is not told)."""

    text: str
    day: dt.date
    clock: dt.time | None
    moment: dt.datetime | None


def stated_moment(text: str) -> Stated:
    """The moment that `text` tells.

    Raises
    ------
    BadInput : there is no certain day in it, or its time zone is the name of several.
    """
    exact = _iso_moment(text.strip())
    if exact is not None:
        return exact
    plain = _plain(text)
    clock, rest = _clock(plain)
    offset, rest = _offset(rest)
    day = _day(rest, text)
    if clock is None:
        return Stated(text, day, None, None)
    named = next((zone for zone in NAMED if re.search(rf"\b{zone}\b", rest.upper())), None)
    local = dt.datetime.combine(day, clock)
    if offset is not None:
        return Stated(text, day, clock, local.replace(tzinfo=dt.timezone(offset)))
    if named is not None:
        from zoneinfo import ZoneInfo

        return Stated(text, day, clock, local.replace(tzinfo=ZoneInfo(NAMED[named])))
    vague = next((zone for zone in AMBIGUOUS if re.search(rf"\b{zone}\b", rest.upper())), None)
    if vague is not None:
        raise BadInput(
            f"`{text}` names the time zone {vague}, which is {AMBIGUOUS[vague]}. "
            "Name the session that the quotes show with `--session DATE`."
        )
    return Stated(text, day, clock, None)


def _iso_moment(text: str) -> Stated | None:
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    if re.fullmatch(r"[\d-]+", text):
        return Stated(text, moment.date(), None, None)
    return Stated(text, moment.date(), moment.time(), moment if moment.tzinfo else None)


def _plain(text: str) -> str:
    """`text` in lower case without accents, with plain blanks and without weekdays' commas."""
    folded = unicodedata.normalize("NFKD", text).replace("\u0131", "i").replace("ß", "ss").replace("ä", "a")
    bare = "".join(each for each in folded if not unicodedata.combining(each))
    return re.sub(r"\s+", " ", bare).strip().lower()


def _clock(text: str) -> tuple[dt.time | None, str]:
    """The time of day in `text` and what is left of it; `4:31 pm`, `22:31`, `22.31`, `22h31`."""
    # A date with points (14.09.2023) looks like a clock with points; a clock stands behind blanks or words.
    without = re.sub(r"\b\d{1,2}\.\s?\d{1,2}\.\s?\d{2,4}\b", lambda found: "#" * len(found.group()), text)
    matches = [found for found in _CLOCK.finditer(without) if int(found[1]) <= 24 and int(found[2]) < 60]
    # `+02:00` at the end is an offset: what it stands behind is the clock.
    matches = [found for found in matches if without[: found.start()].rstrip()[-1:] not in ("+", "-", "\u2212")]
    if not matches:
        return None, text
    found = matches[0]
    hour, minute = int(found[1]), int(found[2])
    half = (found[4] or "").replace(".", "").replace(" ", "")
    if not half:
        half = (
            "pm"
            if any(w in text for w in _fold(_AFTERNOON))
            else "am"
            if any(w in text for w in _fold(_MORNING))
            else ""
        )
    if half == "pm" and hour < 12:
        hour += 12
    if half == "am" and hour == 12:
        hour = 0
    return dt.time(hour % 24, minute), text[: found.start()] + " " + text[found.end() :]


def _fold(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_plain(word) for word in words)


def _offset(text: str) -> tuple[dt.timedelta | None, str]:
    """The offset from UTC in `text`, by number or by name, and what is left of it."""
    dated = re.sub(r"\b\d{4}-\d{1,2}-\d{1,2}|\b\d{1,2}-\d{1,2}-\d{2,4}", lambda found: "#" * len(found.group()), text)
    found = _OFFSET.search(dated)
    if found:
        sign = 1 if found[1] == "+" else -1
        offset = sign * dt.timedelta(hours=int(found[2]), minutes=int(found[3] or 0))
        return offset, text[: found.start()] + " " + text[found.end() :]
    for name, hours in ZONES.items():
        named = re.search(rf"(?<![a-z]){name.lower()}(?![a-z])", dated)
        if named:
            return dt.timedelta(hours=hours), text[: named.start()] + " " + text[named.end() :]
    return None, text


def _month(word: str) -> int | None:
    return next((month for begin, month in _WORDS if word.startswith(begin)), None)


def _day(text: str, said: str) -> dt.date:
    for reading in (_cjk_day, _iso_day, _worded_day, _numbered_day):
        found = reading(text, said)
        if found is not None:
            try:
                return dt.date(*found)
            except ValueError:
                raise BadInput(
                    f"`{said}` tells the day {found[0]}-{found[1]:02}-{found[2]:02}, which is none."
                ) from None
    raise BadInput(
        f"`{said}` tells no day that can be read. Name the session that the quotes show with `--session DATE`."
    )


def _cjk_day(text: str, said: str) -> tuple[int, int, int] | None:
    found = re.search(_plain(r"(\d{4})\s*[年년]\s*(\d{1,2})\s*[月월]\s*(\d{1,2})\s*[日일]"), text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def _iso_day(text: str, said: str) -> tuple[int, int, int] | None:
    found = re.search(r"\b(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})\b", text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def _worded_day(text: str, said: str) -> tuple[int, int, int] | None:
    words = re.findall(r"[^\W\d_]+", text)
    months = {_month(word) for word in words if not _is_weekday(word)} - {None}
    numbers = [int(each) for each in re.findall(r"\d+", text)]
    years = [each for each in numbers if 1990 <= each <= 2099]
    days = [each for each in numbers if 1 <= each <= 31]
    if len(months) != 1 or len(years) != 1 or len(days) != 1:
        return None
    return years[0], next(iter(months)) or 0, days[0]


def _is_weekday(word: str) -> bool:
    """Whether `word` is a weekday that begins like a month: Italian martedi, French mardi, Spanish martes."""
    return word.startswith(("marted", "mardi", "martes", "sept-", "tor", "lun"))


def _numbered_day(text: str, said: str) -> tuple[int, int, int] | None:
    found = re.search(r"\b(\d{1,2})([-/.])\s?(\d{1,2})\2\s?(\d{4}|\d{2})\b", text)
    if found is None:
        return None
    first, mark, second, year = int(found[1]), found[2], int(found[3]), int(found[4])
    year += 2000 if year < 100 else 0
    if first > 12 or first == second or mark == ".":
        return year, second, first
    american = re.search(r"\b[ECMP][SD]?T\b", said.upper()) and re.search(r"\d\s*[AP]\.?M", said.upper())
    if second > 12 or (american and mark == "/"):
        return year, first, second
    raise BadInput(
        f"`{said}` could be {year}-{first:02}-{second:02} or {year}-{second:02}-{first:02}. "
        "Name the session that the quotes show with `--session DATE`."
    )


def shown_session(moment: dt.datetime, sessions: Sessions) -> tuple[dt.date, dt.datetime]:
    """The session whose market is seen at `moment`, and the moment of its quotes.

    While a session runs its quotes are of `moment`; after its close, on weekends and holidays and before the next open
    they are those of the last close.
    """
    moment = moment.astimezone(dt.UTC)
    around = sessions.between(moment.date() - dt.timedelta(days=14), moment.date() + dt.timedelta(days=1))
    begun = [session for session in around if sessions.open(session) <= moment]
    if not begun:
        raise BadInput(f"No session of {sessions.exchange} had begun in the 14 days before {moment.isoformat()}.")
    session = begun[-1]
    return session, min(moment, sessions.close(session))


__all__ = ["NEW_YORK", "Stated", "shown_session", "stated_moment"]
