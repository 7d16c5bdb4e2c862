"""CPF and CNPJ: check digits of both, letters in the newer CNPJ, and no number in an error."""

from __future__ import annotations

import random

import pytest

from billing.tax_ids import InvalidTaxId, TaxIdKind, read_cnpj, read_cpf, read_tax_id

LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
VALID_CNPJS = ("11222333000181", "12345678000195", "12ABC34501DE35")


class TestReadTaxId:
    @pytest.mark.parametrize(
        ("text", "kind", "value"),
        [
            ("529.982.247-25", TaxIdKind.CPF, "52998224725"), ("52998224725", TaxIdKind.CPF, "52998224725"),
            (" 111 444 777 35 ", TaxIdKind.CPF, "11144477735"),
            ("11.222.333/0001-81", TaxIdKind.CNPJ, "11222333000181"),
            ("12.ABC.345/01DE-35", TaxIdKind.CNPJ, "12ABC34501DE35"),
            ("12abc34501de35", TaxIdKind.CNPJ, "12ABC34501DE35"),
        ],
    )  # fmt: skip
    def test_takes_punctuation_away_and_finds_the_kind(self, text: str, kind: TaxIdKind, value: str) -> None:
        found = read_tax_id(text)

        assert (found.kind, found.value) == (kind, value)

    @pytest.mark.parametrize(
        "text",
        [
            "", "529.982.247-24", "00000000000", "11111111111", "5299822472", "529982247255", "11222333000182",
            "00000000000000", "12ABC34501DE3A", "12ABC34501DE36", "52998224725\n", "5299822472\u0665", "\u0131" * 14,
            "12_ABC34501DE35", "abc",
        ],
    )  # fmt: skip
    def test_refuses_what_does_not_add_up(self, text: str) -> None:
        with pytest.raises(InvalidTaxId) as caught:
            read_tax_id(text, field="payer.tax_id")

        assert caught.value.field == "payer.tax_id"
        assert list(caught.value.errors) == ["payer.tax_id"]

    def test_names_no_number_in_the_error(self) -> None:
        with pytest.raises(InvalidTaxId) as caught:
            read_tax_id("529.982.247-24")

        assert "529" not in f"{caught.value} {caught.value.detail} {caught.value.errors}"

    def test_notices_every_changed_character_of_a_cpf(self) -> None:
        for place in range(11):
            for digit in set("0123456789") - {"52998224725"[place]}:
                changed = "52998224725"[:place] + digit + "52998224725"[place + 1 :]
                with pytest.raises(InvalidTaxId):
                    read_cpf(changed)

    def test_accepts_one_pair_of_check_digits_for_any_body(self) -> None:
        draw = random.Random(2229)
        for _ in range(20):
            body = "".join(draw.choice(LETTERS) for _ in range(12))
            accepted = [pair for pair in range(100) if _is_cnpj(f"{body}{pair:02d}")]

            assert len(accepted) == 1

    @pytest.mark.parametrize("number", VALID_CNPJS)
    def test_agrees_with_the_published_examples(self, number: str) -> None:
        assert read_cnpj(number) == number


class TestMasked:
    @pytest.mark.parametrize(
        ("text", "masked"),
        [("529.982.247-25", "***.982.247-**"), ("12.ABC.345/01DE-35", "12.***.***/01DE-35")],
    )
    def test_shows_only_a_part(self, text: str, masked: str) -> None:
        assert read_tax_id(text).masked == masked


def _is_cnpj(text: str) -> bool:
    try:
        return read_cnpj(text) == text
    except InvalidTaxId:
        return False
