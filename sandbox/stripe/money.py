"""Amounts as Stripe counts them: whole numbers of the smallest unit, with a least and a greatest."""

from __future__ import annotations

from sandbox.stripe.errors import invalid

ZERO_DECIMAL = frozenset(
    {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"}
)
THREE_DECIMAL = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})
# Sent with two decimals that must be zero.
WHOLE_ONLY = frozenset({"isk", "ugx"})
TWO_DECIMAL = frozenset({
    "aed", "all", "amd", "ars", "aud", "awg", "azn", "bam", "bbd", "bdt", "bgn", "bmd", "bnd", "bob", "brl", "bsd",
    "bwp", "bzd", "cad", "cdf", "chf", "cny", "cop", "crc", "cve", "czk", "dkk", "dop", "dzd", "egp", "etb", "eur",
    "fjd", "gbp", "gel", "gtq", "gyd", "hkd", "hnl", "htg", "huf", "idr", "ils", "inr", "jmd", "kes", "kgs", "khr",
    "kzt", "lkr", "mad", "mdl", "mkd", "mur", "mxn", "myr", "nad", "ngn", "nio", "nok", "npr", "nzd", "pab", "pen",
    "php", "pkr", "pln", "qar", "ron", "rsd", "sar", "sek", "sgd", "thb", "try", "ttd", "twd", "tzs", "uah", "usd",
    "uyu", "uzs", "xcd", "zar", "zmw",
})  # fmt: skip
CURRENCIES = ZERO_DECIMAL | THREE_DECIMAL | WHOLE_ONLY | TWO_DECIMAL

# Stripe publishes least amounts for the currencies of its own countries; about 0.50 USD elsewhere.
LEAST = {"brl": 50, "usd": 50, "eur": 50, "gbp": 30, "mxn": 1000, "jpy": 50, "ars": 50, "clp": 500, "cop": 200_000}
LEAST_OTHERWISE = 50
# Eight digits, whatever the currency.
GREATEST = 99_999_999


def check_charge(amount: int, currency: str, *, param: str = "amount") -> None:
    """Refuse an amount that cannot be charged; :raises Refused: too small, too large, or decimals that do not exist."""
    least = LEAST.get(currency, LEAST_OTHERWISE)
    if amount < least:
        message = f"Amount must be at least {shown(least, currency)}"
        raise invalid(message, code="amount_too_small", param=param)
    if amount > GREATEST:
        message = f"Amount must be no more than {shown(GREATEST, currency)}"
        raise invalid(message, code="amount_too_large", param=param)
    unit = 10 if currency in THREE_DECIMAL else 100 if currency in WHOLE_ONLY else 1
    if amount % unit:
        message = f"Invalid amount: {currency} amounts must be divisible by {unit}."
        raise invalid(message, code="parameter_invalid_integer", param=param)


def shown(amount: int, currency: str) -> str:
    """Return the amount for people, as in "19.90 brl"."""
    digits = 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2
    whole, rest = divmod(amount, 10**digits)
    return f"{whole}.{rest:0{digits}d} {currency}" if digits else f"{amount} {currency}"
