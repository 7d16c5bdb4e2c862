"""Everything that pages show is said in Portuguese, too."""

from __future__ import annotations

import gettext
from pathlib import Path

import pytest
from django.utils.translation import gettext as translated
from django.utils.translation import override

from integrations import registry
from integrations.contract import ProviderError

CATALOGUE = Path(__file__).parents[2] / "locale" / "pt_BR" / "LC_MESSAGES"
SAME_IN_BOTH = frozenset({"WhatsApp", "Id"})


def _messages_of(folder: Path) -> dict[str, str]:
    with (folder / "django.mo").open("rb") as opened:
        return gettext.GNUTranslations(opened)._catalog  # type: ignore[attr-defined]


class TestPortuguese:
    def test_no_text_of_the_catalogue_is_left_out(self) -> None:
        entries = (CATALOGUE / "django.po").read_text().split("\n\n")[1:]

        empty = [entry for entry in entries if '\nmsgstr ""' in entry or "#, fuzzy" in entry]

        assert not empty

    def test_the_compiled_catalogue_is_that_of_the_source(self) -> None:
        compiled = _messages_of(CATALOGUE)
        sources = [
            line.removeprefix("msgid ").strip('"').replace('\\"', '"').replace("\\n", "\n")
            for line in (CATALOGUE / "django.po").read_text().splitlines()
            if line.startswith("msgid ") and line != 'msgid ""'
        ]
        plurals = {key[0] for key in compiled if isinstance(key, tuple)}

        assert not [text for text in sources if text not in compiled and text not in plurals]

    @pytest.mark.parametrize("error", ProviderError.__subclasses__(), ids=lambda error: error.__name__)
    def test_knows_what_every_error_says(self, error: type[ProviderError]) -> None:
        if not error.__module__.startswith("integrations.contract"):
            return
        with override("pt-br"):
            assert translated(error.message) != error.message
            assert translated(error.next_action) != error.next_action
            assert not error.if_given_up or translated(error.if_given_up) != error.if_given_up

    def test_knows_the_form_and_the_remedies_of_whatsapp(self) -> None:
        spec = registry.provider("whatsapp").spec
        texts = [text for item in (*spec.credentials, *spec.settings) for text in (item.label, item.help)]
        texts += [rule.remedy for rule in spec.errors]

        with override("pt-br"):
            missing = {text for text in texts if text and translated(text) == text} - SAME_IN_BOTH

        assert not missing
