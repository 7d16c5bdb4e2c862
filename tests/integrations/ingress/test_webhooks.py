"""Receiving: verified before stored, stored before answered, never a 500, never lost."""

from __future__ import annotations

import io
import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dispatch.models import InboxKey, RefusedRequest
from integrations.models import Event
from integrations.services.crew import work_deliveries
from tenants.context import in_organization
from tests.integrations.ingress.conftest import APP_SECRET, VERIFY_TOKEN, connect, deliveries, signed, text_message

pytestmark = pytest.mark.django_db


class TestOwnUrl:
    """`/webhooks/<provider>/<token>/`."""

    def test_stores_a_signed_delivery_sealed_and_answers_200(self, connected, post):
        answer = post(connected.path, text_message("segredo da cliente"))

        assert answer.status_code == 200
        (delivery,) = deliveries()
        assert delivery.status == "received"
        assert delivery.organization_schema == connected.organization.schema_name
        assert b"segredo" not in bytes(delivery.sealed_body)

    def test_takes_one_look_up_and_one_insert(self, connected, post):
        post(connected.path, text_message(wamid="wamid.first"))  # opens the organization's key

        with CaptureQueriesContext(
            connection,
        ) as queries:
            post(connected.path, text_message(wamid="wamid.second"))

        statements = [query["sql"] for query in queries if not query["sql"].startswith("SET search_path")]
        assert len(statements) == 2, statements

    def test_keeps_no_second_row_for_the_same_body(self, connected, post):
        body = json.dumps(text_message()).encode()

        answers = [post(connected.path, body).status_code for _ in range(5)]

        assert answers == [200] * 5
        assert len(deliveries()) == 1
        assert InboxKey.objects.count() == 1

    @pytest.mark.parametrize(
        ("signature", "reason"),
        [("", "missing"), ("sha256=", "malformed"), ("sha256=zz", "malformed"), ("sha256=" + "0" * 64, "wrong")],
    )
    def test_refuses_a_bad_signature_with_401(self, connected, post, signature, reason):
        answer = post(connected.path, text_message(), signature=signature)

        assert answer.status_code == 401
        assert deliveries() == []
        assert RefusedRequest.objects.get().reason == reason

    @pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
    def test_answers_405_to_a_method_that_no_vendor_uses(self, connected, client, method):
        answer = client.generic(method, connected.path, b"{}", content_type="application/json")

        assert answer.status_code == 405
        assert answer.headers["Allow"] == "GET, HEAD, POST"
        assert deliveries() == []

    def test_keeps_only_a_small_sample_of_refused_deliveries(self, connected, post):
        for _ in range(50):
            post(connected.path, text_message(), secret="somebody-else")

        assert 1 <= RefusedRequest.objects.count() <= 10  # two minutes may be touched
        assert deliveries() == []

    def test_does_not_take_another_organizations_secret(self, connected, other_organization, post):
        other = connect(other_organization, number="1002", waba="2002", secret="secret-of-globex")

        answer = post(connected.path, text_message(), secret=other.secret)

        assert answer.status_code == 401

    def test_answers_404_to_an_unknown_token_or_provider(self, connected, post):
        assert post("/webhooks/whatsapp/not-a-token/", text_message()).status_code == 404
        assert post(connected.path.replace("whatsapp", "stripe"), text_message()).status_code == 404
        assert post(connected.path.replace("whatsapp", "nobody"), text_message()).status_code == 404

    def test_refuses_a_body_over_4_mb_with_413(self, connected, post):
        answer = post(connected.path, b"x" * (4 * 1024 * 1024 + 1))

        assert answer.status_code == 413
        assert deliveries() == []

    def test_takes_a_body_of_3_mb(self, connected, post):
        message = text_message()
        message["entry"][0]["padding"] = "x" * (3 * 1024 * 1024)

        assert post(connected.path, message).status_code == 200
        assert len(deliveries()) == 1

    @pytest.mark.parametrize(("padding", "status"), [(0, 200), (4 * 1024 * 1024, 413)])
    def test_takes_a_body_whose_length_is_not_told(self, padding, status, connected, client):
        raw = json.dumps({**text_message(), "padding": "x" * padding}).encode()
        told = {"wsgi.input": io.BytesIO(raw), "HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
        signature = signed(raw, connected.secret)

        answer = client.generic("POST", connected.path, headers={"X-Hub-Signature-256": signature}, **told)

        assert answer.status_code == status
        assert len(deliveries()) == (status == 200)


class TestChallenge:
    """GET answers the vendor's question."""

    def ask(self, client, path, token):
        query = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": token}
        return client.get(path, query)

    def test_returns_the_bare_challenge(self, connected, client):
        answer = self.ask(client, connected.path, VERIFY_TOKEN)

        assert answer.status_code == 200
        assert answer.content == b"1158201444"
        assert answer.headers["Content-Type"].startswith("text/plain")

    @pytest.mark.parametrize("token", ["wrong", "", "VERIFY-TOKEN-OF-A-TEST"])
    def test_answers_403_to_a_wrong_token(self, connected, client, token):
        assert self.ask(client, connected.path, token).status_code == 403


HEAD = b'{"object":"whatsapp_business_account","entry":[{"id":"2001",'
STRANGE_BODIES = {
    "not json": b"hello",
    "empty": b"",
    "list": b"[]",
    "number": b"5",
    "null": b"null",
    "string": b'"text"',
    "nul escape": json.dumps(text_message("a\u0000b")).encode(),
    "lone surrogate": json.dumps(text_message("a\ud83db")).encode(),
    "1e400": HEAD + b'"time":1e400,"changes":[{"field":"x","value":{"n":1e400}}]}]}',
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "deep in an entry": HEAD + b'"changes":[{"field":"x","value":' + b"[" * 100_000 + b"]" * 100_000 + b"}]}]}",
    "invalid utf-8": b'{"object":"\xff\xfe"}',
    "unknown field": HEAD + b'"changes":[{"field":"brand_new","value":{"a":1}}]}]}',
    "other object": b'{"object":"page","entry":[]}',
    "entries of odd types": b'{"object":"whatsapp_business_account","entry":[1,null,"a",{"changes":5}]}',
    "changes of odd types": HEAD + b'"changes":[3,null,"a",[],{"field":5,"value":[]}]}]}',
}


class TestStrangeBodies:
    """Whatever was verified is stored raw, answered 2xx, and ends as an event or a dead letter with a reason."""

    @pytest.mark.parametrize("body", STRANGE_BODIES.values(), ids=STRANGE_BODIES.keys())
    def test_ends_as_an_event_or_a_dead_letter(self, connected, post, body):
        answer = post(connected.path, body)
        work_deliveries()

        assert answer.status_code == 200
        (delivery,) = deliveries()
        assert delivery.status in {"processed", "ignored", "dead", "quarantined"}, delivery.error_text
        if delivery.status in {"dead", "quarantined"}:
            assert delivery.error_text
        assert delivery.error_class not in {"DataError", "RecursionError", "UnicodeEncodeError"}

    def test_an_unknown_field_becomes_an_unknown_event(self, connected, post):
        post(connected.path, STRANGE_BODIES["unknown field"])
        work_deliveries()

        with in_organization(connected.organization):
            assert Event.objects.get().type == "unknown"


class TestProcessing:
    """What the worker makes of a delivery."""

    def test_redelivery_changes_nothing(self, connected, post):
        message = text_message()
        post(connected.path, message)
        work_deliveries()
        message["entry"][0]["extra"] = "another body with the same fact"
        post(connected.path, message)
        work_deliveries()

        with in_organization(connected.organization):
            assert Event.objects.count() == 1

    def test_an_account_of_somebody_else_never_reaches_the_link(self, connected, other_organization, post):
        connect(other_organization, number="1002", waba="2002", secret="secret-of-globex")

        post(connected.path, text_message(number="1002", waba="2002"), secret=APP_SECRET)
        work_deliveries()

        (delivery,) = deliveries()
        assert delivery.status == "quarantined"
        for organization in (connected.organization, other_organization):
            with in_organization(organization):
                assert Event.objects.count() == 0
