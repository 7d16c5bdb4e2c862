"""Texts with values in them, beside words of vendors."""

from __future__ import annotations

import pytest

from notifications.texts import filled


class TestFilled:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("It ends on %(day)s.", "It ends on 2026-12-01."),
            ("100 %% of %(day)s.", "100 % of 2026-12-01."),
            ("Top up: 90 % is used.", "Top up: 90 % is used."),
            ("At 100%", "At 100%"),
        ],
    )
    def test_puts_values_in_where_they_are_named(self, text: str, expected: str) -> None:
        assert filled(text, {"day": "2026-12-01"}) == expected
