"""Times and amounts as MercadoPago writes and reads them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation

# The vendor writes the time of Cuiabá and Caracas wherever the seller is.
VENDOR_ZONE = timezone(timedelta(hours=-4))
DATE_SHAPE = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}([+-]\d{2}:\d{2}|Z)")
RELATIVE_SHAPE = re.compile(r"NOW(?:-(\d{1,4})(HOURS?|DAYS?|MONTHS?|YEARS?))?")
HOURS = {"HOUR": 1, "DAY": 24, "MONTH": 24 * 30, "YEAR": 24 * 365}


def written(at: float) -> str:
    """Return Unix seconds as `2026-11-18T10:04:58.396-04:00`."""
    return datetime.fromtimestamp(at, tz=VENDOR_ZONE).isoformat(timespec="milliseconds")


def read_date(value: object) -> float | None:
    """Return Unix seconds of a date with milliseconds and offset, or None when it is not written so."""
    if not isinstance(value, str) or not DATE_SHAPE.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value).timestamp()
    except ValueError:
        return None


def read_moment(value: str, *, now: float) -> float | None:
    """Return Unix seconds of a search's date, which may be `NOW-7DAYS` or a date; None when it is neither."""
    relative = RELATIVE_SHAPE.fullmatch(value)
    if relative is None:
        return read_date(value)
    count, unit = relative.groups()
    return now - int(count) * HOURS[unit.removesuffix("S")] * 3600 if count else now


def orders_time(at: float) -> str:
    """Return Unix seconds as the Orders API writes them: UTC with Z."""
    return datetime.fromtimestamp(at, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def minor(value: object, *, decimals: int) -> int | None:
    """Return an amount in minor units; None when it is no number or has more decimals than the currency."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    try:
        scaled = Decimal(value).scaleb(decimals)
        whole = scaled.to_integral_value()
    except InvalidOperation:
        return None
    return int(whole) if scaled == whole else None


def money(amount_minor: int) -> int | float:
    """Return minor units as the JSON number of the vendor: 5880 is 58.8, 10000 is 100."""
    return amount_minor // 100 if amount_minor % 100 == 0 else amount_minor / 100


def money_text(amount_minor: int) -> str:
    """Return minor units as text with two decimals."""
    return f"{amount_minor // 100}.{amount_minor % 100:02d}"


def cents(value: float) -> int:
    """Return minor units of a number that `money` wrote."""
    return round(value * 100)
