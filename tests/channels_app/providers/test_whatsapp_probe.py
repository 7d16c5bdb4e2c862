"""The clock's probe: one call that reads, and says nothing unless the number is perfectly well."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.contract import AuthenticationFailed, ProviderError, RateLimited, Unavailable
from tests.wire import Wire

PHONE = "/v26.0/100000000000001"


@pytest.fixture(autouse=True)
def healthy(wire: Wire) -> None:
    """All is well unless a test says otherwise."""
    wire.play("ok")


class TestProbe:
    def test_reads_the_number_and_nothing_else(self, wire: Wire, whatsapp: Any) -> None:
        account = whatsapp.probe()

        assert account is not None
        assert account.external_id == whatsapp.check().account.external_id
        assert [(seen.method, seen.path) for seen in wire.calls[:1]] == [("GET", PHONE)]

    def test_is_one_call(self, wire: Wire, whatsapp: Any) -> None:
        whatsapp.probe()

        assert len(wire.calls) == 1

    @pytest.mark.parametrize(
        ("answer", "error"),
        [("error__190", AuthenticationFailed), ("error__html_502", Unavailable), ("error__4", RateLimited)],
    )
    def test_raises_what_the_vendor_said(
        self, wire: Wire, whatsapp: Any, answer: str, error: type[ProviderError]
    ) -> None:
        wire.answer("GET", "*", answer)

        with pytest.raises(error):
            whatsapp.probe()
