"""A real SDK behind the guard, and a bank that asks for a client certificate."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest
import stripe

from core.secret import Secrets
from integrations.contract import AuthenticationFailed, Misconfigured, MutualTlsAuth, Unavailable
from tests.integrations.outbound.conftest import SPEC
from tests.transport.certificates import Authority
from tests.transport.loopback import hang, reply, serving
from transport.engine import Transport

BANK = dataclasses.replace(
    SPEC, auth=MutualTlsAuth(certificate_field="certificate", key_field="private_key"), hosts={"api": "https://bank.example"}
)  # fmt: skip


def stripe_client(door) -> stripe.StripeClient:
    http_client = stripe.RequestsClient(session=door.requests_session(operation="track"))
    return stripe.StripeClient(
        "sk_test_fake", base_addresses={"api": door.base_url()}, http_client=http_client, max_network_retries=0
    )


class TestStripesSdk:
    def test_speaks_through_the_guard(self, serve, guard, reports):
        server = serve(reply(b'{"id":"cus_1","object":"customer"}'))

        customer = stripe_client(guard(server.url)).v1.customers.retrieve("cus_1")

        assert customer.id == "cus_1"
        assert server.requests[0].headers["authorization"] == "Bearer sk_test_fake"
        assert [(report.method, report.url) for report in reports] == [("GET", f"{server.url}/v1/customers/cus_1")]

    def test_has_its_errors_explained(self, serve, guard):
        server = serve(reply(b'{"error":{"message":"Invalid API Key"}}', status="401 No"))
        door = guard(server.url)

        with pytest.raises(stripe.AuthenticationError) as caught:
            stripe_client(door).v1.customers.retrieve("cus_1")

        assert isinstance(door.explain(caught.value), AuthenticationFailed)

    def test_ends_at_our_deadline_not_at_its_own(self, serve, guard, reports):
        door = guard(serve(hang).url)

        with pytest.raises(stripe.APIConnectionError) as caught:
            stripe_client(door).v1.customers.retrieve("cus_1")

        assert reports[0].duration_ms < 900
        assert isinstance(door.explain(caught.value), Unavailable)


class TestClientCertificate:
    def test_is_that_of_the_integration(self, guard, tmp_path):
        authority = Authority(tmp_path)
        pair = authority.issue("integration-a")
        context = authority.server_context("bank.example", wants_client=True)
        transport = Transport(resolver=lambda host, port: ["127.0.0.1"], ca_file=str(authority.file))

        with serving(reply(), tls=context) as server:
            hosts = {"api": f"https://bank.example:{server.port}"}
            secrets = Secrets({"certificate": pair.certificate, "private_key": pair.private_key})
            door = guard(
                spec=dataclasses.replace(BANK, hosts=hosts), secrets=secrets, owner="integration-a", transport=transport
            )
            response = door.request("GET", "/v2/cob", operation="get")
            transport.close()

        assert response.status == 200

    def test_is_the_users_to_mend_when_it_is_unusable(self, guard):
        secrets = Secrets({"certificate": "no PEM", "private_key": "no PEM"})
        transport = Transport(resolver=lambda host, port: ["127.0.0.1"])

        with pytest.raises(Misconfigured, match="client certificate"):
            guard(spec=BANK, secrets=secrets, owner="a", transport=transport).request("GET", "/", operation="get")


class TestImports:
    def test_load_httpx2_only_for_those_who_ask(self):
        code = "import sys, integrations.outbound.guard; sys.exit('httpx2' in sys.modules or 'django' in sys.modules)"

        assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 0
