"""Opened secrets have no text, JSON or pickle form, and still do their work."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from core.secret import Secret, SecretLeak, Secrets

PLAINTEXT = "sk_test_planted_canary_0001"

LEAKS: dict[str, Callable[[Any], object]] = {
    "str": str,
    "repr": repr,
    "format": lambda value: f"{value}",
    "format with a width": lambda value: f"{value:>40}",
    "percent": lambda value: "%s" % value,  # noqa: UP031
    "ascii": ascii,
    "pickle": pickle.dumps,
    "old pickle": lambda value: pickle.dumps(value, protocol=0),
    "copy": copy.deepcopy,
    "json with a text fallback": lambda value: json.dumps(value, default=str),
    "inside a list": lambda value: str([value]),
    "inside a dict": lambda value: repr({"token": value}),
}


class TestSecret:
    @pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS.keys())
    def test_refuses_every_text_form(self, leak: Callable[[Any], object]) -> None:
        with pytest.raises(SecretLeak) as caught:
            leak(Secret(PLAINTEXT))

        assert PLAINTEXT not in str(caught.value)

    def test_refuses_json(self) -> None:
        with pytest.raises(TypeError) as caught:
            json.dumps({"token": Secret(PLAINTEXT)})

        assert PLAINTEXT not in str(caught.value)

    def test_stays_out_of_a_traceback(self) -> None:
        error = _failure_beside(Secret(PLAINTEXT))

        text = "".join(traceback.TracebackException.from_exception(error).format())

        assert "the vendor said no" in text
        assert PLAINTEXT not in text

    def test_refuses_a_traceback_that_prints_locals(self) -> None:
        error = _failure_beside(Secret(PLAINTEXT))

        with pytest.raises(SecretLeak):
            traceback.TracebackException.from_exception(error, capture_locals=True)

    def test_stays_out_of_a_log_line(
        self, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
    ) -> None:
        handler = logging.StreamHandler()
        logger = logging.Logger("secret.canary")
        logger.addHandler(handler)

        logger.warning("token is %s", Secret(PLAINTEXT))

        captured = capsys.readouterr()
        assert PLAINTEXT not in captured.out + captured.err + caplog.text

    def test_reveals_on_request_only(self) -> None:
        assert Secret(PLAINTEXT).reveal() == PLAINTEXT

    def test_has_no_attributes_to_walk(self) -> None:
        with pytest.raises(TypeError):
            vars(Secret(PLAINTEXT))

    @pytest.mark.parametrize(
        ("other", "same"), [(PLAINTEXT, True), (PLAINTEXT + "x", False), ("", False), ("\ud800", False)]
    )
    def test_compares(self, other: str, *, same: bool) -> None:
        assert Secret(PLAINTEXT).matches(other) is same

    def test_is_true_when_it_holds_something(self) -> None:
        assert Secret("x")
        assert not Secret("")


class TestSecrets:
    @pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS.keys())
    def test_refuses_every_text_form(self, leak: Callable[[Any], object]) -> None:
        with pytest.raises(SecretLeak):
            leak(Secrets({"token": PLAINTEXT}))

    def test_refuses_json_even_as_a_dict(self) -> None:
        with pytest.raises(TypeError) as caught:
            json.dumps(dict(Secrets({"token": PLAINTEXT})))

        assert PLAINTEXT not in str(caught.value)

    def test_gives_fields_by_name_and_leaves_out_empty_ones(self) -> None:
        secrets = Secrets({"token": PLAINTEXT, "webhook_secret": ""})

        assert list(secrets) == ["token"]
        assert len(secrets) == 1
        assert secrets["token"].reveal() == PLAINTEXT
        assert secrets.get("webhook_secret") is None

    def test_fails_on_an_absent_field(self) -> None:
        with pytest.raises(KeyError):
            Secrets({})["token"]


def _failure_beside(token: Secret) -> ValueError:
    """Return an error whose traceback has a frame with a secret among its locals."""
    try:
        if token:
            raise ValueError("the vendor said no")
    except ValueError as error:
        return error
    raise AssertionError("the error did not happen")
