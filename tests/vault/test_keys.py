"""A ring that cannot protect anything is refused in one line that says what to do."""

from __future__ import annotations

import base64
import os
import pickle

import pytest

from vault.cipher import SealBroken
from vault.keys import (
    BadKeyRing,
    PlatformKeys,
    Ring,
    RingMasterKeys,
    Wrapped,
    key_byte,
    new_ring_entry,
    parse_ring,
)


def encoded(key: bytes) -> str:
    return base64.b64encode(key).decode()


RANDOM = encoded(os.urandom(32))
OTHER = encoded(os.urandom(32))
TWIN = next(f"twin{n}" for n in range(10_000) if key_byte(f"twin{n}") == key_byte("m1"))

BAD_RINGS = {
    "empty": ("", "is empty"),
    "blank": (" , ,", "is empty"),
    "no id": (RANDOM, "no valid id in entry 1"),
    "empty id": (f":{RANDOM}", "no valid id in entry 1"),
    "odd id": (f"m1:{RANDOM},m 2:{OTHER}", "no valid id in entry 2"),
    "long id": (f"{'m' * 33}:{RANDOM}", "no valid id in entry 1"),
    "not base64": ("m1:this is not base64!", "not base64"),
    "not ASCII": ("m1:ключ", "not base64"),
    "short": (f"m1:{encoded(os.urandom(31))}", "31 bytes instead of 32"),
    "long": (f"m1:{encoded(os.urandom(33))}", "33 bytes instead of 32"),
    "no key": ("m1:", "0 bytes instead of 32"),
    "zeros": (f"m1:{encoded(bytes(32))}", "default or was typed"),
    "one byte repeated": (f"m1:{encoded(b'A' * 32)}", "default or was typed"),
    "typed": (f"m1:{encoded(b'change-me-please-0123456789abcde')}", "default or was typed"),
    "bad second key": (f"m1:{RANDOM},m2:{encoded(bytes(32))}", "'m2'"),
    "same id twice": (f"m1:{RANDOM},m1:{OTHER}", "names the key 'm1' twice"),
    "same key twice": (f"m1:{RANDOM},m2:{RANDOM}", "same bytes"),
    "same mark": (f"m1:{RANDOM},{TWIN}:{OTHER}", "shares its mark"),
}


class TestParseRing:
    def test_takes_the_first_key_as_current(self) -> None:
        ring = parse_ring(f" new:{RANDOM} ,old:{OTHER},")

        assert ring.current_id == "new"
        assert list(ring) == ["new", "old"]
        assert encoded(ring["old"]) == OTHER

    @pytest.mark.parametrize(("text", "problem"), BAD_RINGS.values(), ids=BAD_RINGS.keys())
    def test_refuses(self, text: str, problem: str) -> None:
        with pytest.raises(BadKeyRing) as caught:
            parse_ring(text, setting="PLATFORM_KEYS")

        line = str(caught.value)
        assert problem in line
        assert line.startswith("PLATFORM_KEYS ")
        assert "openssl rand -base64 32" in line
        assert "\n" not in line
        assert RANDOM not in line
        assert caught.value.__cause__ is None

    def test_refuses_a_development_key_in_production(self) -> None:
        text = new_ring_entry("dev1")

        assert parse_ring(text).current_id == "dev1"
        with pytest.raises(BadKeyRing, match="development key 'dev1', refused in production"):
            parse_ring(text, is_production=True)

    def test_reads_what_new_ring_entry_makes(self) -> None:
        ring = parse_ring(",".join([new_ring_entry("m1"), new_ring_entry("m2")]), is_production=True)

        assert len(ring["m1"]) == len(ring["m2"]) == 32
        assert ring["m1"] != ring["m2"]

    def test_shows_no_key(self) -> None:
        ring = parse_ring(f"m1:{RANDOM}")

        assert repr(ring) == str(ring) == "<Ring m1>"
        assert "m1" in ring
        assert "m2" not in ring


class TestRingMasterKeys:
    ROW = {"organization_schema": "org_a1", "version": 1}

    def test_wraps_under_the_current_key_and_unwraps_under_any(self) -> None:
        old = Ring({"old": os.urandom(32)})
        both = Ring({"new": os.urandom(32), "old": old["old"]})
        key = os.urandom(32)

        stored = RingMasterKeys(old).wrap(key, **self.ROW)

        assert stored.master_id == "old"
        assert RingMasterKeys(both).unwrap(stored, **self.ROW) == key
        assert RingMasterKeys(both).wrap(key, **self.ROW).master_id == "new"
        assert RingMasterKeys(both).has("old")
        assert RingMasterKeys(both).current_id == "new"

    def test_refuses_an_unknown_master_key(self) -> None:
        stored = RingMasterKeys(Ring({"old": os.urandom(32)})).wrap(os.urandom(32), **self.ROW)
        keys = RingMasterKeys(Ring({"new": os.urandom(32)}))

        assert not keys.has("old")
        with pytest.raises(SealBroken):
            keys.unwrap(stored, **self.ROW)

    def test_refuses_a_row_that_names_another_master_key(self) -> None:
        ring = Ring({"m1": os.urandom(32), "m2": os.urandom(32)})
        stored = RingMasterKeys(ring).wrap(os.urandom(32), **self.ROW)

        with pytest.raises(SealBroken):
            RingMasterKeys(ring).unwrap(Wrapped(master_id="m2", wrapped=stored.wrapped), **self.ROW)

    def test_keeps_the_wrapped_key_out_of_texts(self) -> None:
        assert "wrapped" not in repr(Wrapped(master_id="m1", wrapped=b"x"))


class TestPlatformKeys:
    def test_opens_what_an_older_key_sealed_and_says_so(self) -> None:
        old = Ring({"p1": os.urandom(32)})
        both = Ring({"p2": os.urandom(32), "p1": old["p1"]})

        token = PlatformKeys(old).seal(b"test-secret", label="oauth_app:1")

        assert PlatformKeys(both).open(token, label="oauth_app:1") == b"test-secret"
        assert PlatformKeys(old).is_current(token)
        assert not PlatformKeys(both).is_current(token)
        assert PlatformKeys(both).is_current(PlatformKeys(both).seal(b"x", label="oauth_app:1"))

    @pytest.mark.parametrize("token", [b"", b"\x00", bytes(80)], ids=len)
    def test_refuses_unknown_marks(self, token: bytes) -> None:
        with pytest.raises(SealBroken):
            PlatformKeys(Ring({"p1": os.urandom(32)})).open(token, label="oauth_app:1")

    def test_refuses_a_token_marked_with_another_key(self) -> None:
        ring = Ring({"p1": os.urandom(32), "p2": os.urandom(32)})
        token = PlatformKeys(ring).seal(b"test-secret", label="oauth_app:1")

        with pytest.raises(SealBroken):
            PlatformKeys(ring).open(bytes((key_byte("p2"),)) + token[1:], label="oauth_app:1")


class TestRing:
    def test_refuses_to_be_pickled(self) -> None:
        with pytest.raises(TypeError):
            pickle.dumps(Ring({"m1": os.urandom(32)}))
