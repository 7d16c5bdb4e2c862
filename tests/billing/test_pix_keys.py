"""Pix keys in the directory's writing, the kind found by shape or said, and never guessed."""

from __future__ import annotations

import pytest

from billing.pix_keys import AmbiguousPixKey, InvalidPixKey, KeyType, read_key

RANDOM_KEY = "4b2f0c77-61de-4c1b-9a35-d0e8f7a61c93"


class TestReadKey:
    @pytest.mark.parametrize(
        ("text", "kind", "value"),
        [
            ("529.982.247-25", KeyType.CPF, "52998224725"), ("11222333000181", KeyType.CNPJ, "11222333000181"),
            ("12.abc.345/01DE-35", KeyType.CNPJ, "12ABC34501DE35"), ("+5511955501234", KeyType.PHONE, "+5511955501234"),
            ("+55 (11) 95550-1234", KeyType.PHONE, "+5511955501234"),
            ("(11) 95550-1234", KeyType.PHONE, "+5511955501234"),
            ("+351912345678", KeyType.PHONE, "+351912345678"),
            ("Caixa@Example.com ", KeyType.EMAIL, "caixa@example.com"),
            (RANDOM_KEY.upper(), KeyType.RANDOM, RANDOM_KEY),
        ],
    )  # fmt: skip
    def test_finds_the_kind_by_the_shape(self, text: str, kind: KeyType, value: str) -> None:
        found = read_key(text)

        assert (found.key_type, found.value) == (kind, value)

    @pytest.mark.parametrize("digits", ["52998224725", "11955501234"])
    def test_asks_for_the_kind_of_eleven_bare_digits(self, digits: str) -> None:
        with pytest.raises(AmbiguousPixKey) as caught:
            read_key(digits)

        assert caught.value.field == "key_type"
        assert "cpf or phone" in caught.value.remedy

    @pytest.mark.parametrize(
        ("text", "key_type", "value"),
        [
            ("52998224725", "cpf", "52998224725"), ("11955501234", "phone", "+5511955501234"),
            ("1155501234", "phone", "+551155501234"), ("5511955501234", "phone", "+5511955501234"),
            ("12ABC34501DE35", KeyType.CNPJ, "12ABC34501DE35"),
        ],
    )  # fmt: skip
    def test_believes_the_kind_that_is_said(self, text: str, key_type: str, value: str) -> None:
        assert read_key(text, key_type).value == value

    @pytest.mark.parametrize(
        ("text", "key_type", "field"),
        [
            ("", None, "key"), ("caixa", None, "key"), ("52998224724", "cpf", "key"), ("11955501234", "cpf", "key"),
            ("52998224725", "email", "key"), ("52998224725", "cnpj", "key"), ("+5501955501234", "phone", "key"),
            ("+55219555", None, "key"), ("a@b", None, "key"), ("a" * 70 + "@example.com", None, "key"),
            ("jos\u00e9@example.com", None, "key"), ("a@@example.com", None, "key"), (RANDOM_KEY[:-1], "random", "key"),
            (RANDOM_KEY.replace("-", ""), "random", "key"), ("1195550123\u0664", "phone", "key"),
            ("52998224725", "pix", "key_type"), ("12ABC34501DE36", None, "key"),
        ],
    )  # fmt: skip
    def test_refuses_with_field_and_remedy(self, text: str, key_type: str | None, field: str) -> None:
        with pytest.raises(InvalidPixKey) as caught:
            read_key(text, key_type)

        assert caught.value.field == field
        assert caught.value.errors == {field: [caught.value.remedy]}
        assert not text or text not in str(caught.value.errors)

    @pytest.mark.parametrize("text", ["caixa@example.com", "+5511955501234", RANDOM_KEY, "12ABC34501DE35"])
    def test_reads_its_own_writing(self, text: str) -> None:
        key = read_key(text)

        assert read_key(key.value, key.key_type) == key


class TestMasked:
    @pytest.mark.parametrize(
        ("text", "masked"),
        [
            ("529.982.247-25", "***.982.247-**"), ("11222333000181", "11.***.***/0001-81"),
            ("+5511955501234", "+55119****1234"), ("caixa@example.com", "c***@example.com"),
            (RANDOM_KEY, "4b2f0c77-****-****-****-********1c93"),
        ],
    )  # fmt: skip
    def test_shows_enough_to_recognize(self, text: str, masked: str) -> None:
        assert read_key(text).masked == masked
