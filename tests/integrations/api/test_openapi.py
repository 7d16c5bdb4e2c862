"""The published description of the API."""

from __future__ import annotations

import re
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from integrations.api.urls import urlpatterns


@pytest.fixture(scope="module")
def document() -> Any:
    """The description, as a JSON object."""
    import json

    out = StringIO()
    call_command("spectacular", "--format", "openapi-json", "--validate", "--fail-on-warn", stdout=out)
    return json.loads(out.getvalue())


class TestOpenApi:
    def test_is_valid_and_complete(self, document: Any) -> None:
        wanted = {
            "/api/v1/" + re.sub(r"<str:(\w+)>", r"{\1}", str(pattern.pattern))
            for pattern in urlpatterns
            if pattern.name != "unknown-address"
        }

        assert document["openapi"] == "3.1.0"
        assert wanted <= set(document["paths"])

    def test_has_one_component_per_provider(self, document: Any) -> None:
        components = document["components"]["schemas"]
        connect = components["ConnectRequest"]

        assert connect["discriminator"]["mapping"]["whatsapp"] == "#/components/schemas/ConnectWhatsapp"
        token = components["ConnectWhatsapp"]["properties"]["credentials"]["properties"]["access_token"]
        assert token["writeOnly"] is True
        assert "examples" not in token

    def test_every_post_takes_an_idempotency_key_and_every_answer_a_problem(self, document: Any) -> None:
        operations = [
            (method, operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
            if path.startswith("/api/v1/")
        ]

        for method, operation in operations:
            assert "application/problem+json" in operation["responses"]["401"]["content"]
            names = {parameter["name"] for parameter in operation.get("parameters", [])}
            assert ("Idempotency-Key" in names) == (method == "post")
            assert operation["security"] == [{"apiKey": []}]

    def test_is_public(self, db: Any) -> None:
        assert Client().get(reverse("schema")).status_code == 200

    def test_is_browsable_offline_and_under_the_content_security_policy(self, db: Any) -> None:
        answer = Client().get(reverse("docs"))
        page = answer.content.decode()

        assert answer.status_code == 200
        assert "script-src 'self'" in answer["Content-Security-Policy"]
        assert not re.findall(r"<script(?![^>]*\bsrc=)[^>]*>", page), "inline script"
        addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
        assert addresses
        assert all(address.startswith("/") for address in addresses)
