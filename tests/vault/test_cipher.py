"""The envelope opens in one place only, and nothing of it can be changed unnoticed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from vault import cipher
from vault.cipher import SealBroken, SealContext

KEY = bytes(range(32))
PLACE = SealContext(
    organization_schema="org_a1", owner="0199c0de-0000-7000-8000-000000000001", field="credential", version=3
)
PLAINTEXT = b'{"access_token":"test-token"}'

WRONG_PLACES = {
    "organization": replace(PLACE, organization_schema="org_b2"),
    "owner": replace(PLACE, owner="0199c0de-0000-7000-8000-000000000002"),
    "field": replace(PLACE, field="webhook_secret"),
    "version": replace(PLACE, version=4),
    "letters moved between organization and owner": replace(
        PLACE, organization_schema="org_a10", owner="199c0de-0000-7000-8000-000000000001"
    ),
}


def sealed(plaintext: bytes = PLAINTEXT) -> bytes:
    return cipher.seal(plaintext, key=KEY, key_version=7, context=PLACE)


class TestEnvelope:
    @pytest.mark.parametrize("plaintext", [b"", b"x", PLAINTEXT, bytes(4 * 1024 * 1024)], ids=len)
    def test_opens_where_it_was_sealed(self, plaintext: bytes) -> None:
        blob = sealed(plaintext)

        assert cipher.open_sealed(blob, key=KEY, context=PLACE) == plaintext
        assert len(blob) == len(plaintext) + cipher.OVERHEAD_BYTES

    def test_has_the_documented_layout(self) -> None:
        blob = sealed()

        assert blob[0] == cipher.SUITE
        assert int.from_bytes(blob[1:5], "big") == 7
        derived = cipher.derive(KEY, salt=blob[5:37], info=b"cred/v1")
        assert blob[37:69] == derived[32:]
        assert len(blob[81:]) == len(PLAINTEXT) + 16

    def test_names_its_key_version_before_it_is_opened(self) -> None:
        assert cipher.key_version_of(sealed()) == 7

    def test_never_repeats(self) -> None:
        blobs = {sealed() for _ in range(200)}

        assert len(blobs) == 200
        assert len({blob[69:81] for blob in blobs}) == 200

    def test_shows_nothing_of_the_plaintext(self) -> None:
        assert b"test-token" not in sealed()

    @pytest.mark.parametrize("place", WRONG_PLACES.values(), ids=WRONG_PLACES.keys())
    def test_refuses_another_place(self, place: SealContext) -> None:
        with pytest.raises(SealBroken):
            cipher.open_sealed(sealed(), key=KEY, context=place)

    def test_refuses_another_key_version(self) -> None:
        blob = sealed()
        relabeled = blob[:1] + (8).to_bytes(4, "big") + blob[5:]

        with pytest.raises(SealBroken):
            cipher.open_sealed(relabeled, key=KEY, context=PLACE)

    def test_refuses_another_key(self) -> None:
        with pytest.raises(SealBroken):
            cipher.open_sealed(sealed(), key=bytes(32), context=PLACE)

    def test_refuses_every_single_bit_flip(self) -> None:
        blob = sealed()
        refused = 0

        for position in range(len(blob) * 8):
            flipped = bytearray(blob)
            flipped[position // 8] ^= 1 << position % 8
            with pytest.raises(SealBroken):
                cipher.open_sealed(bytes(flipped), key=KEY, context=PLACE)
            refused += 1

        assert refused == (cipher.OVERHEAD_BYTES + len(PLAINTEXT)) * 8

    def test_refuses_every_cut(self) -> None:
        blob = sealed()

        for length in range(len(blob)):
            with pytest.raises(SealBroken):
                cipher.open_sealed(blob[:length], key=KEY, context=PLACE)

    def test_refuses_a_blob_made_to_open_under_two_keys(self) -> None:
        """Without the commitment, whoever has a key could write a blob that opens under it with their own salt."""
        blob = sealed()
        other = cipher.derive(bytes(32), salt=blob[5:37], info=b"cred/v1")
        forged = blob[:81] + AESGCM(other[:32]).encrypt(blob[69:81], PLAINTEXT, None)

        with pytest.raises(SealBroken):
            cipher.open_sealed(forged, key=bytes(32), context=PLACE)

    def test_says_nothing_about_the_cause(self) -> None:
        texts = set()
        for blob, key, place in [
            (sealed()[:-1], KEY, PLACE),
            (sealed(), bytes(32), PLACE),
            (sealed(), KEY, WRONG_PLACES["owner"]),
            (b"", KEY, PLACE),
        ]:
            with pytest.raises(SealBroken) as caught:
                cipher.open_sealed(blob, key=key, context=place)
            assert caught.value.__cause__ is None
            texts.add(str(caught.value))

        assert texts == {"the sealed value cannot be opened"}


class TestWrapping:
    ROW = {"master_id": "m1", "organization_schema": "org_a1", "version": 1}

    def test_unwraps_in_its_own_row(self) -> None:
        wrapped = cipher.wrap_key(KEY, master_key=bytes(32), **self.ROW)

        assert cipher.unwrap_key(wrapped, master_key=bytes(32), **self.ROW) == KEY

    @pytest.mark.parametrize(
        "change", [{"master_id": "m2"}, {"organization_schema": "org_b2"}, {"version": 2}], ids=str
    )
    def test_refuses_another_row(self, change: dict[str, object]) -> None:
        wrapped = cipher.wrap_key(KEY, master_key=bytes(32), **self.ROW)

        with pytest.raises(SealBroken):
            cipher.unwrap_key(wrapped, master_key=bytes(32), **{**self.ROW, **change})

    def test_refuses_another_master_key(self) -> None:
        wrapped = cipher.wrap_key(KEY, master_key=bytes(32), **self.ROW)

        with pytest.raises(SealBroken):
            cipher.unwrap_key(wrapped, master_key=KEY, **self.ROW)

    @pytest.mark.parametrize("wrapped", [b"", b"x" * 59, b"x" * 61])
    def test_refuses_a_wrong_length(self, wrapped: bytes) -> None:
        with pytest.raises(SealBroken):
            cipher.unwrap_key(wrapped, master_key=bytes(32), **self.ROW)


class TestKeyedDigest:
    def test_depends_on_key_purpose_and_data(self) -> None:
        digests = {
            cipher.keyed_digest(b"body", key=KEY, purpose="inbox"),
            cipher.keyed_digest(b"body", key=KEY, purpose="answer"),
            cipher.keyed_digest(b"bodY", key=KEY, purpose="inbox"),
            cipher.keyed_digest(b"body", key=bytes(32), purpose="inbox"),
            cipher.keyed_digest(b"xbody", key=KEY, purpose="inbo"),
        }

        assert len(digests) == 5
        assert {len(digest) for digest in digests} == {32}

    def test_uses_a_key_that_opens_nothing(self) -> None:
        assert cipher.digest_key(KEY) not in (KEY, cipher.derive(KEY, salt=None, info=b"cred/v1")[:32])

    def test_of_a_token_needs_no_key(self) -> None:
        assert cipher.token_digest("wh_test").hex().startswith("e9f4b7e54cbb2b23")
        assert cipher.token_digest("\ud800") != cipher.token_digest("\ud801")


class TestPlatformSeal:
    LABEL = "oauth_app:1:client_secret"

    @pytest.mark.parametrize("plaintext", [b"", b"test-secret", bytes(1000)], ids=len)
    def test_opens_under_its_key_and_label(self, plaintext: bytes) -> None:
        token = cipher.seal_platform(plaintext, key=KEY, key_byte=9, label=self.LABEL)

        assert token[0] == 9
        assert cipher.open_platform(token, key=KEY, label=self.LABEL) == plaintext

    def test_refuses_another_label_and_another_key(self) -> None:
        token = cipher.seal_platform(b"test-secret", key=KEY, key_byte=9, label=self.LABEL)

        for key, label in [(KEY, "oauth_app:2:client_secret"), (bytes(32), self.LABEL), (KEY, "")]:
            with pytest.raises(SealBroken):
                cipher.open_platform(token, key=key, label=label)

    def test_refuses_changed_and_cut_tokens(self) -> None:
        token = cipher.seal_platform(b"test-secret", key=KEY, key_byte=9, label=self.LABEL)

        for position in range(8, len(token) * 8):
            flipped = bytearray(token)
            flipped[position // 8] ^= 1 << position % 8
            with pytest.raises(SealBroken):
                cipher.open_platform(bytes(flipped), key=KEY, label=self.LABEL)
        for length in range(len(token)):
            with pytest.raises(SealBroken):
                cipher.open_platform(token[:length], key=KEY, label=self.LABEL)
