"""What may be a card's number is found wherever it stands; what has digits by another rule is not."""

from __future__ import annotations

import random
import uuid
from typing import Any

import pytest

from billing.services.card_numbers import HIDDEN, CardNumberRefused, find_card_number, refuse_in_body

VISA = "4242424242424242"


def luhn(digits: str) -> str:
    """Append the check digit."""
    return next(
        digits + str(last)
        for last in range(10)
        if sum(sum(divmod(int(char) * (1 + place % 2), 10)) for place, char in enumerate(reversed(f"{digits}{last}")))
        % 10
        == 0
    )


class TestFindCardNumber:
    @pytest.mark.parametrize(
        ("value", "path"),
        [
            ({"description": VISA}, "description"),
            ({"description": "4242 4242 4242 4242"}, "description"),
            ({"description": "4242-4242-4242-4242"}, "description"),
            ({"description": "4242\u20134242\u00a042424242"}, "description"),
            ({"description": f"my card is {VISA}, thanks"}, "description"),
            ({"description": f"x{VISA}y"}, "description"),
            ({"description": "order 12 4242 4242 4242 4242 please"}, "description"),
            ({"description": "3782 822463 10005"}, "description"),
            ({"description": "\uff14\uff12" + VISA[2:]}, "description"),
            ({"metadata": {"a": [{"b": VISA}]}}, "metadata.a.0.b"),
            ({"metadata": {VISA: "x"}}, f"metadata.{HIDDEN}"),
            ({"amount_minor": int(VISA)}, "amount_minor"),
            ({"amount_minor": float(VISA)}, "amount_minor"),
            ({"payer": {"phone": VISA}}, "payer.phone"),
            ({"payer": {"tax_id": VISA}}, "payer.tax_id"),
            ({"card": {"token": VISA}}, "card.token"),
            ({"return_url": f"https://example.com/?pan={VISA}"}, "return_url"),
            ([VISA], "0"),
            (VISA, "body"),
        ],
    )
    def test_finds_it(self, value: Any, path: str) -> None:
        assert find_card_number(value) == path

    @pytest.mark.parametrize("length", range(13, 20))
    def test_finds_every_length(self, length: int) -> None:
        source = random.Random(length)
        for _ in range(50):
            number = luhn(str(source.randrange(1, 10)) + "".join(source.choices("0123456789", k=length - 2)))
            assert find_card_number({"x": number}) == "x"
            wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
            assert find_card_number({"x": wrong}) is None

    @pytest.mark.parametrize(
        "value",
        [
            {"description": "00190500954014481606906809350314337370000000100"},
            {"description": luhn("42424242424242424242")},
            {"description": luhn("42424242424")},
            {"description": "0" * 16},
            {"amount_minor": 1990, "installments": 3, "is_full": True, "nothing": None, "rate": 1e300},
            {"payer": {"phone": "+5511999990008"}},
            {"payer": {"phone": "+55 (11) 99999-0008"}},
            {"payer": {"tax_id": "11.444.777/0001-61"}},
            {"key": "11444777000161"},
            {"card": {"token": "4242424242424242424242424242424f"}},
            {"card": {"token": "ff8080814c11e237014c1ff593b57b4d"}},
        ],
    )
    def test_leaves_other_numbers_alone(self, value: Any) -> None:
        assert find_card_number(value) is None

    def test_never_mistakes_an_id_of_ours(self) -> None:
        source = random.Random(7)
        for _ in range(20_000):
            assert find_card_number({"integration": str(uuid.UUID(int=source.getrandbits(128)))}) is None


class TestRefuseInBody:
    @pytest.mark.parametrize(
        "raw",
        [
            f'{{"a": "{VISA}", "a": "x"}}',
            f'{{"a": {VISA}}}',
            '{"a": 4.242424242424242e15}',
            '{"a": "\\u0034242424242424242"}',
            f'{{"a": "{VISA}"',
            f"a={VISA}&b=1",
            f'{{"{VISA}": 1}}',
        ],
    )
    def test_reads_every_member(self, raw: str) -> None:
        with pytest.raises(CardNumberRefused) as refused:
            refuse_in_body(raw.encode())

        assert refused.value.code == "card_number_refused"
        assert refused.value.status == 422
        assert VISA not in str(refused.value.errors) + refused.value.detail

    @pytest.mark.parametrize("raw", [b"", b"{}", b"\xff\xfe", b"[" * 5000, b'{"a": 1e999999}', b'{"a": NaN}'])
    def test_lets_the_rest_be_refused_for_what_it_is(self, raw: bytes) -> None:
        refuse_in_body(raw)
