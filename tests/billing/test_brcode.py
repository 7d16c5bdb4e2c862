"""BR Codes: built to the letter, read strictly, drawn so that they scan."""

from __future__ import annotations

import json
import random
import string
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
import qrcode

from billing.brcode import BrCode, InvalidBrCode, build_static, crc16, parse, qr_png, seal
from billing.pix_keys import AmbiguousPixKey
from billing.tax_ids import FieldRefused
from core.money import to_minor

SHOP: dict[str, Any] = {"merchant_name": "Padaria Aurora", "merchant_city": "Curitiba"}
RANDOM_KEY = "9f1b6c1e-2d70-4f0a-8a44-1c5d3b7e9a02"
PRINTABLE = [char for char in map(chr, range(0x20, 0x7F)) if char not in string.ascii_lowercase]
VECTORS = [
    (
        {"key": "caixa@example.com", "amount_minor": 5880, "txid": "PEDIDO58"},
        "00020126390014br.gov.bcb.pix0117caixa@example.com520400005303986540558.805802BR"
        "5914PADARIA AURORA6008CURITIBA62120508PEDIDO586304",
    ),
    (
        {"key": "12ABC34501DE35"},
        "00020126360014br.gov.bcb.pix011412ABC34501DE355204000053039865802BR"
        "5914PADARIA AURORA6008CURITIBA62070503***6304",
    ),
    (
        {"key": RANDOM_KEY, "amount_minor": 1, "description": "Caf\u00e9 da manh\u00e3"},
        f"00020126750014br.gov.bcb.pix0136{RANDOM_KEY}0213Cafe da manha52040000530398654040.015802BR"
        "5914PADARIA AURORA6008CURITIBA62070503***6304",
    ),
]


class TestBuildStatic:
    @pytest.mark.parametrize(("values", "expected"), VECTORS)
    def test_writes_every_field_in_its_place(self, values: dict[str, Any], expected: str) -> None:
        code = build_static(**SHOP, **values)

        assert code[:-4] == expected
        assert code[-4:] == f"{crc16(expected):04X}"

    def test_cuts_after_accents_are_gone(self) -> None:
        code = build_static(
            "caixa@example.com",
            merchant_name="  Pão & Açúcar do Coração Ltda.",
            merchant_city="São Lourenço do Sul",
        )

        assert parse(code).merchant_name == "PAO & ACUCAR DO CORACAO L"
        assert parse(code).merchant_city == "SAO LOURENCO DO"

    @pytest.mark.parametrize(
        ("values", "field"),
        [
            ({"amount_minor": 0}, "amount_minor"), ({"amount_minor": -5}, "amount_minor"),
            ({"amount_minor": 10**12}, "amount_minor"), ({"amount_minor": 58.8}, "amount_minor"),
            ({"txid": "a" * 26}, "txid"), ({"txid": "pedido-1"}, "txid"), ({"txid": "pedido\u0661"}, "txid"),
            ({"description": "x" * 57}, "description"), ({"description": "\u65e5\u672c"}, "description"),
            ({"merchant_name": " \u65e5 "}, "merchant_name"), ({"merchant_city": ""}, "merchant_city"),
            ({"key": "nobody"}, "key"), ({"key": "+55119555012345"}, "key"),
        ],
    )  # fmt: skip
    def test_refuses_with_field_and_remedy(self, values: dict[str, Any], field: str) -> None:
        with pytest.raises(FieldRefused) as caught:
            build_static(**{"key": "caixa@example.com"} | SHOP | values)

        assert caught.value.field == field
        assert caught.value.remedy

    def test_shares_73_characters_between_key_and_description(self) -> None:
        assert parse(build_static(RANDOM_KEY, **SHOP, description="x" * 37)).description == "x" * 37
        with pytest.raises(FieldRefused, match="does not fit"):
            build_static(RANDOM_KEY, **SHOP, description="x" * 38)

    def test_asks_what_eleven_digits_are(self) -> None:
        with pytest.raises(AmbiguousPixKey):
            build_static("52998224725", **SHOP)


class TestParse:
    def test_returns_what_was_built(self) -> None:
        draw = random.Random(2311)
        for _ in range(300):
            wanted = _drawn(draw)
            code = build_static(
                wanted.key, merchant_name=wanted.merchant_name, merchant_city=wanted.merchant_city,
                amount_minor=wanted.amount_minor, txid=wanted.txid, description=wanted.description,
            )  # fmt: skip

            assert parse(code) == wanted

    def test_notices_any_changed_character(self) -> None:
        draw, code = random.Random(16), build_static(RANDOM_KEY, **SHOP, amount_minor=5880, txid="PEDIDO58")
        for place, right in enumerate(code):
            for wrong in draw.sample([char for char in string.printable if char != right], 12):
                with pytest.raises(InvalidBrCode):
                    parse(code[:place] + wrong + code[place + 1 :])

    def test_notices_every_cut(self) -> None:
        code = build_static("caixa@example.com", **SHOP)
        for size in range(len(code)):
            with pytest.raises(InvalidBrCode):
                parse(code[:size])

    def test_reads_dynamic_codes_and_capital_guis(self) -> None:
        account = "0014BR.GOV.BCB.PIX2537pix.example.com/qr/v2/cobv/9d36b84fc7"
        code = parse(
            seal(f"00020101021226{len(account)}{account}52040000530398654045.005802BR5904LOJA6005BELEM62070503***")
        )

        assert code.is_dynamic
        assert (code.url, code.initiation) == ("pix.example.com/qr/v2/cobv/9d36b84fc7", "12")
        assert (code.key, code.txid, code.amount_minor) == ("", "", 500)

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            ("00020126080004abcd5204000053039865802BR5901N6001C", "no account of Pix"),
            ("00020126220014br.gov.bcb.pix0100252", "do not add up"),
            ("00020126260014br.gov.bcb.pix0106a@b55204000053039865802BR5901N6001C", "do not add up"),
            ("00020126180014br.gov.bcb.pix5204000053039865802BR5901N6001C", "either a key or a URL"),
            ("00020126240014br.gov.bcb.pix01020152040000", "is absent"),
            ("00020126240014br.gov.bcb.pix0102015204000053038405802BR5901N6001C", "53 must be 986"),
            ("00020126240014br.gov.bcb.pix0102015204000053039865802US5901N6001C", "58 must be BR"),
            ("00020126240014br.gov.bcb.pix0102015204000053039865802BR5901N5901N6001C", "59 twice"),
            ("00020126240014br.gov.bcb.pix01020152040000530398654051,0005802BR5901N6001C", "amount is no number"),
            ("00020126240014br.gov.bcb.pix0102015204000053039865405-1.005802BR5901N6001C", "amount is no number"),
            ("00020101021526240014br.gov.bcb.pix0102015204000053039865802BR5901N6001C", "01 must be 11 or 12"),
            ("26240014br.gov.bcb.pix0102015204000053039865802BR5901N6001C000201", "first field must be 00"),
            ("000202\ud800", "do not add up"),
        ],
    )  # fmt: skip
    def test_says_what_is_wrong_behind_a_right_check_sum(self, body: str, reason: str) -> None:
        text = f"{body}6304"

        with pytest.raises(InvalidBrCode) as caught:
            parse(f"{text}{crc16(text):04X}")

        assert reason in caught.value.remedy
        assert caught.value.field == "brcode"

    def test_leaves_accounts_of_other_schemes_closed(self) -> None:
        ours = "26390014br.gov.bcb.pix0117caixa@example.com"

        code = parse(seal(f"0002012704ABCD{ours}5204000053039865802BR5901N6001C6108800100006206050201"[:-2] + "A1"))

        assert (code.key, code.postal_code) == ("caixa@example.com", "80010000")


class TestQrPng:
    def test_holds_the_modules_of_a_code_of_correction_m(self) -> None:
        text = build_static(RANDOM_KEY, **SHOP, amount_minor=5880)
        code = qrcode.QRCode(error_correction=qrcode.ERROR_CORRECT_M, border=4)
        code.add_data(text)

        modules = _modules(qr_png(text))

        assert modules == code.get_matrix()
        assert not any(any(row[:4]) or any(row[-4:]) for row in modules)
        # The two bits of the correction level, less the fixed mask 10: 10 xor 10 = 00 is M.
        assert [modules[12][4], modules[12][5]] == [True, False]

    def test_is_no_larger_than_a_mail_can_carry(self) -> None:
        text = build_static(RANDOM_KEY, **SHOP, amount_minor=10**12 - 1, txid="A" * 25, description="x" * 37)

        assert len(qr_png(text)) < 8_000


@pytest.mark.vendor_fixtures
class TestVendorVectors:
    def test_builds_the_published_codes(self, vendor_fixtures: Path) -> None:
        vectors = _vectors(vendor_fixtures)

        assert f"{crc16('123456789'):04X}" == vectors["crc"]["check_123456789"]
        for vector in vectors["generate"]:
            given = vector["input"]
            code = build_static(
                given["key"], merchant_name=given["name"], merchant_city=given["city"], txid=given.get("txid"),
                amount_minor=to_minor(given["amount"], "BRL") if "amount" in given else None,
                description=given.get("info"),
            )  # fmt: skip
            assert code == vector["payload"], vector["name"]

    def test_reads_the_public_samples_and_refuses_the_wrong_ones(self, vendor_fixtures: Path) -> None:
        for sample in _vectors(vendor_fixtures)["parse"]:
            if sample["crc_ok"] and sample["tlv_ok"]:
                assert parse(sample["payload"]).key
                continue
            with pytest.raises(InvalidBrCode) as caught:
                parse(sample["payload"])
            assert ("check sum" in caught.value.remedy) is not sample["crc_ok"]


def _drawn(draw: random.Random) -> BrCode:
    def text(most: int) -> str:
        return "".join(draw.choice(PRINTABLE) for _ in range(draw.randint(1, most))).strip() or "X"

    key = draw.choice(["caixa@example.com", "+5511955501234", RANDOM_KEY, "12ABC34501DE35"])
    txid = "".join(draw.choice(string.ascii_letters + string.digits) for _ in range(draw.randint(1, 25)))
    return BrCode(
        merchant_name=text(25), merchant_city=text(15), key=key, txid=draw.choice(["", txid]),
        description=draw.choice(["", text(73 - len(key))]),
        amount_minor=draw.choice([None, draw.randint(1, 10 ** draw.randint(1, 12) - 1)]),
    )  # fmt: skip


def _vectors(folder: Path) -> Any:
    return json.loads((folder / "payments" / "pix" / "brcode_vectors.json").read_text())


def _modules(png: bytes) -> list[list[bool]]:
    """Return the picture as modules; each must be a square of eight equal pixels."""
    side, _, depth, color = struct.unpack(">IIBB", png[16:26])
    start = png.index(b"IDAT") + 4
    raw = zlib.decompress(png[start : png.index(b"IEND") - 8])
    lines = [raw[at + 1 : at + 1 + side // 8] for at in range(0, len(raw), 1 + side // 8)]
    assert (depth, color, len(lines)) == (1, 0, side)
    assert all(lines[row] == lines[row - row % 8] for row in range(side))
    assert set(raw) <= {0x00, 0xFF}
    return [[byte == 0 for byte in lines[row]] for row in range(0, side, 8)]
