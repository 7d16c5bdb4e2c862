"""How figures are laid out and kept."""

from __future__ import annotations

from benchmarks.report import Bar, Outcome, Spread, Table


class TestSpread:
    def test_shows_the_median_between_its_ends(self) -> None:
        assert Spread((3.0, 1.0, 2000.0)).text() == "3 (1..2,000)"

    def test_keeps_figures_for_programs(self) -> None:
        assert Spread((1.0, 2.0)).figures() == {"median": 1.5, "min": 1.0, "max": 2.0}


class TestOutcome:
    def test_says_which_bar_was_missed(self) -> None:
        bars = [
            Bar(name="rate", wanted=">= 10", measured="11", is_met=True),
            Bar(name="p99", wanted="< 60", measured="75", is_met=False),
        ]
        table = Table(title="Rates", columns=["connections", "rate"], rows=[["1", "11"], ["16", "9"]])

        lines = Outcome(tables=[table], bars=bars, notes=["One round."]).text().splitlines()

        assert lines[:3] == ["Rates", "connections  rate", "-----------------"]
        assert lines[4] == "16              9"
        assert "MISSED   p99: 75 (wanted < 60)" in lines
        assert lines[-1] == "One round."
