"""
No secret that was planted in the running product is found anywhere it does not belong (RELIABILITY 5.9).

Secrets are handed to it in every way that people, programs and vendors have, good and bad. Then everything that
the product printed, answered, queued and stored is searched. The search is proved first: it finds each encoding,
and a harmless word that was planted beside the secrets is found in the places that are searched.
"""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import requests

from config import runtime
from tests.processes.callers import BROKEN_BODIES, Answers, Person, Program
from tests.processes.canaries import (
    Canary,
    Hit,
    command_lines,
    database_dump,
    files_of,
    hits,
    hits_in_files,
    new_canary,
    output_of,
    redis_content,
)
from tests.processes.conftest import Product

pytestmark = [
    pytest.mark.processes,
    pytest.mark.xdist_group("product"),
]  # one product, one hunt

SETTLED_WITHIN_S = 40.0
CUSTOMERS = {"": "15550107731", "500": "15550107732", "html": "15550107733", "echo": "15550107734"}
"""By what the vendor does with the answer to them; messages to one of them would wait behind a failed one."""

MARK = "Canary Bakery 4711"
"""The harmless word: the name of the integration whose secrets are planted."""

DISCONNECT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'registry_app'"

FAULTS = ("500", "html", "malformed", "empty", "reset", "redirect", "429_retry_after")


class Hunt:
    """Plants the secrets and drives the product."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.answers = Answers()
        self.run = secrets.token_hex(4)
        self.slug = product.demo["organizations"][0]["slug"]
        self.wrong = [new_canary(f"wrong {name}") for name in ("token", "app secret", "verify token", "key", "login")]
        self.verify_token = new_canary("verify token")
        self.app_secret, self.app_verify = new_canary("OAuth app secret"), new_canary("OAuth app verify token")
        self.password = new_canary("staff password")
        self.business = self.vendor("accounts", name=MARK)
        self.token = Canary("access token", self.business["access_token"])
        self.own_secret = Canary("app secret", self.business["app_secret"])
        ids = {"app_id": self.business["app_id"], "waba_ids": [self.business["waba_id"]]}
        self.second_token = Canary("second access token", self.vendor("tokens", **ids)["token"])
        self.key = self._make_key()
        self.integration = ""
        self.sends = 0
        self.failed_pages: list[str] = []

    @property
    def canaries(self) -> list[Canary]:
        """All planted secrets."""
        return [
            *self.wrong, self.verify_token, self.app_secret, self.app_verify, self.password, self.token,
            self.own_secret, self.second_token, self.key,
        ]  # fmt: skip

    def vendor(self, path: str, **body: Any) -> dict[str, Any]:
        """Ask the sandbox, which is the vendor: what it answers is not searched."""
        answer = requests.post(f"{self.product.sandbox_url}/control/whatsapp/{path}", json=body, timeout=30)
        assert answer.ok, answer.text
        return dict(answer.json()) if answer.content else {}

    def fault(self, kind: str, **more: Any) -> None:
        """Let the vendor's next answer be spoiled."""
        body = {"vendor": "whatsapp", "kind": kind, **more}
        answer = requests.post(f"{self.product.sandbox_url}/control/faults", json=body, timeout=30)
        assert answer.ok, answer.text

    def heal(self) -> None:
        """Take back faults that no call met."""
        requests.delete(f"{self.product.sandbox_url}/control/faults", timeout=30)

    def echo(self, *canaries: Canary) -> None:
        """Let the vendor answer with the secrets that we use with it in its error, as careless ones do."""
        text = "Malformed access token " + " and ".join(canary.text for canary in canaries)
        error = {"message": text, "type": "OAuthException", "code": 100, "fbtrace_id": "Atest4711",
                 "error_data": {"details": text}}  # fmt: skip
        self.fault("custom", status=400, body={"error": error}, times=9)  # one check makes several calls

    def body(self, **credentials: str) -> dict[str, Any]:
        """Return what connects the planted business."""
        settings = {name: self.business[name] for name in ("phone_number_id", "waba_id", "app_id")}
        return {"provider": "whatsapp", "name": MARK, "environment": "test", "credentials": credentials,
                "settings": settings}  # fmt: skip

    def good(self) -> dict[str, str]:
        """Return the credential that works."""
        texts = {"access_token": self.token, "app_secret": self.own_secret, "verify_token": self.verify_token}
        return {name: canary.text for name, canary in texts.items()}

    def drive(self) -> None:
        """Do everything that people, programs and the vendor do."""
        program = Program(self.product, self.key.text, self.answers)
        self._refuse(program)
        self._connect(program)
        self._break(program)
        self._reconnect(program)
        self._receive()
        self._send(program)
        self._visit()
        self._disturb(program)
        self._end(program)

    def _make_key(self) -> Canary:
        """Make an API key; the answer that shows it once is the only one that is not searched."""
        maker = Program(self.product, self.product.demo["organizations"][0]["api_key"], Answers())
        body, once = {"name": "canary", "scopes": ["*"]}, {"Idempotency-Key": f"{self.run} key"}
        made = maker("POST", "/api-keys/", body, headers=once).json()
        again = maker("POST", "/api-keys/", body, headers=once).json()
        assert made["key"] == again["key"]
        return Canary("API key", made["key"])

    def _refuse(self, program: Program) -> None:
        """Send what cannot be right."""
        token, secret, verify, key, _login = self.wrong
        wrong = self.body(access_token=token.text, app_secret=secret.text, verify_token=verify.text)
        once = {"Idempotency-Key": f"{self.run} refused"}
        for headers in ({}, once, once):
            assert program("POST", "/integrations/", wrong, headers=headers).status_code == 422
        half = self.body(access_token=self.token.text, app_secret=secret.text)
        program("POST", "/integrations/", half)
        for text in BROKEN_BODIES.values():
            json = {"Content-Type": "application/json"}
            answer = program("POST", "/integrations/", data=text.format(token.text.replace('"', "")), headers=json)
            assert answer.status_code in {400, 422}, answer.text
        program("POST", "/integrations/", data={"access_token": token.text})
        program("POST", "/integrations/", data=b"\xff" + token.text.encode(), headers=json)
        for path in (f"/integrations/{key.core.decode()}/", f"/integrations/?access_token={key.core.decode()}",
                     f"/providers/{key.core.decode()}/", f"/{key.core.decode()}/"):  # fmt: skip
            program("GET", path)
        basic = base64.b64encode(f"x:{key.text}".encode()).decode()
        for header in (f"Bearer {key.text}", f"Bearer ir_live_{key.text}", f"Basic {basic}", key.text):
            headers = {"Authorization": header, "Cookie": f"sessionid={key.core.decode()}"}
            assert program("GET", "/integrations/", headers=headers).status_code == 401

    def _connect(self, program: Program) -> None:
        """Connect, with failures of the vendor in between."""
        for kind in FAULTS:
            self.fault(kind, times=9)
            assert program("POST", "/integrations/", self.body(**self.good())).status_code in {422, 429, 502}
            self.heal()
        self.echo(self.token, self.own_secret, self.verify_token)
        refused = program("POST", "/integrations/", self.body(**self.good()))
        assert refused.status_code == 422, refused.text
        self.heal()
        once = {"Idempotency-Key": f"{self.run} connect"}
        made = program("POST", "/integrations/", self.body(**self.good()), headers=once)
        assert made.status_code == 201, made.text
        assert program("POST", "/integrations/", self.body(**self.good()), headers=once).json() == made.json()
        other = self.body(access_token=self.second_token.text)
        assert program("POST", "/integrations/", other, headers=once).status_code == 409
        self.integration = f"/integrations/{made.json()['id']}/"
        self._wait(lambda: program("GET", self.integration).json()["webhook"]["registered"], "the webhook")

    def _break(self, program: Program) -> None:
        """Test while the vendor fails in every way."""
        for kind in FAULTS:
            self.fault(kind, times=9)
            assert program("POST", f"{self.integration}test/").json()["success"] is False, kind
            self.heal()
        for status in (400, 401, 500):
            self.echo(self.token, self.own_secret, self.verify_token)
            self.fault("custom", status=status, body={"error": {"message": self.token.text, "code": 190}})
            program("POST", f"{self.integration}test/")
            self.heal()
        # The vendor's Retry-After holds our own calls back, too, until its time is over.
        test = f"{self.integration}test/"
        self._wait(lambda: program("POST", test).json()["success"], "the vendor to be asked again")

    def _reconnect(self, program: Program) -> None:
        """Give it credentials that are wrong, then one that works."""
        token, secret, verify, *_rest = self.wrong
        path = f"{self.integration}credentials/"
        for credentials in ({"access_token": token.text}, {"app_secret": secret.text, "verify_token": verify.text}):
            self.echo(token if "access_token" in credentials else secret)
            program("PUT", path, {"credentials": credentials})
            self.heal()
            program("PUT", path, {"credentials": credentials})
        good = self.good() | {"access_token": self.second_token.text}
        assert program("PUT", path, {"credentials": good}).status_code == 200
        for verb in ("rotate", "refresh", "disable", "enable"):
            program("POST", f"{self.integration}{verb}/")
        program("PATCH", self.integration, {"settings": {"app_id": self.wrong[0].core.decode()}})

    def _receive(self) -> None:
        """Let the vendor post, and a stranger who has the address."""
        program = Program(self.product, self.key.text, self.answers)
        url = program("GET", self.integration).json()["webhook"]["url"].removeprefix(self.product.url)
        stranger, guess = Person(self.product, self.answers), self.wrong[2]
        for text in (guess.text, self.verify_token.text):
            query = {"hub.mode": "subscribe", "hub.verify_token": text, "hub.challenge": "4711"}
            stranger.get(url, params=query)
            stranger.get("/webhooks/whatsapp/", params=query)
        for address in (url, "/webhooks/whatsapp/", f"/webhooks/whatsapp/{guess.core.decode()}/"):
            headers = {"X-Hub-Signature-256": f"sha256={guess.core.decode()}", "Authorization": guess.text}
            body = {"object": "whatsapp_business_account", "token": guess.text}
            answer = stranger.http.post(stranger.url + address, json=body, headers=headers, timeout=30)
            assert self.answers.keep(answer).status_code in {401, 404}
        text = {"phone_number_id": self.business["phone_number_id"], "type": "text", "text": {"body": "Hello"}}
        for customer in CUSTOMERS.values():
            self.vendor(f"customers/{customer}/messages", **text)
        deliveries = f"{self.integration}deliveries/"
        self._wait(lambda: self._processed(program) == len(CUSTOMERS), "the deliveries")
        for row in program("GET", deliveries).json()["results"]:
            program("GET", f"{deliveries}{row['id']}/")
            program("POST", f"{deliveries}{row['id']}/replay/")

    def _processed(self, program: Program) -> int:
        rows = program("GET", f"{self.integration}deliveries/").json()["results"]
        return sum(row["status"] == "processed" for row in rows)

    def _send(self, program: Program) -> None:
        """Send while the vendor works and while it fails."""
        message = {"integration": self.integration.split("/")[2], "type": "text"}
        for kind, customer in CUSTOMERS.items():
            if kind == "echo":
                self.echo(self.second_token, self.own_secret)
            elif kind:
                self.fault(kind)
            body = {**message, "to": customer, "text": {"body": f"Answer {kind}"}}
            answer = program("POST", "/channels/messages/", body, headers={"Idempotency-Key": f"{self.run} {kind}"})
            assert answer.status_code == 202, answer.text
            self._wait(partial(self._was_tried, program, answer.json()["id"]), f"the message {kind!r}")
            self.heal()

    def _was_tried(self, program: Program, message_id: str) -> bool:
        """Whether the worker has called the vendor for a message, with or without success."""
        program("GET", f"/channels/messages/{message_id}/")
        calls = program("GET", f"{self.integration}calls/?limit=200").json()["results"]
        sends = [call for call in calls if call["operation"] == "send"]
        self.sends, is_new = len(sends), len(sends) > self.sends
        return is_new

    def _visit(self) -> None:
        """Log in, look at every page, fill in forms wrongly and rightly."""
        login, staff = self.wrong[4], f"canary-{self.run}@example.com"
        secret = {"DJANGO_SUPERUSER_PASSWORD": self.password.text}
        self.product.manage("createsuperuser", "--noinput", "--email", staff, **secret)
        person = Person(self.product, self.answers)
        person.post("/login/", username=staff, password=login.text)
        person.http.post(f"{person.url}/login/", data={"username": staff, "password": login.text}, timeout=30)
        person.post("/login/", username=staff, password=self.password.text)
        assert "sessionid" in person.http.cookies, "the login failed"
        app = {
            "provider": "whatsapp",
            "label": "Canary app",
            "client_id": self.run,
            "settings": "{}",
            "is_enabled": "on",
        }
        typed = {"client_secret": self.app_secret.text, "verify_token": self.app_verify.text}
        add = "/admin/dispatch/oauthapp/add/"
        person.post(add, **(app | {"provider": "nobody"}), **typed)
        person.post(add, **app, **typed)
        person.http.post(f"{person.url}{add}", data={**app, **typed}, timeout=30)
        self.failed_pages = person.walk("/admin/")
        self._visit_organization()
        for path in ("/", "/api/docs/", "/api/schema/", "/metrics", "/readyz", f"/{login.core.decode()}/"):
            person.get(path)
        person.get("/", headers={"Host": "elsewhere.example"})
        person.post("/password-reset/", email=staff)

    def _visit_organization(self) -> None:
        """Do the same inside the organization, as its owner."""
        person, start = Person(self.product, self.answers), f"/o/{self.slug}/admin/"
        person.post("/login/", username=self.product.demo["staff_email"], password=self.product.demo["staff_password"])
        token, secret, verify, *_rest = self.wrong
        fields = {f"settings__{name}": self.business[name] for name in ("phone_number_id", "waba_id", "app_id")}
        texts = {"access_token": token, "app_secret": secret, "verify_token": verify}
        typed = {f"credentials__{name}": canary.text for name, canary in texts.items()}
        one = f"{start}integrations/integration/{self.integration.split('/')[2]}/"
        for path in (f"{start}integrations/integration/connect/whatsapp/", f"{one}reconnect/"):
            assert person.post(path, name=MARK, environment="test", **fields, **typed).status_code == 422, path
        self.echo(self.second_token, self.own_secret, self.verify_token)
        person.post(f"{one}test/", page=one)
        self.heal()
        self.failed_pages += person.walk(start)
        person.get(f"{start}{token.core.decode()}/")

    def _disturb(self, program: Program) -> None:
        """Take the database away in the middle: what then fails, fails with the secrets in hand."""
        login, person = self.wrong[4], Person(self.product, self.answers)
        person.get("/login/")
        fields = {"username": "staff@example.com", "password": login.text}
        for _ in range(3):
            runtime.psql(self.product.data_dir, DISCONNECT)
            program("POST", "/integrations/", self.body(access_token=self.wrong[0].text))
            runtime.psql(self.product.data_dir, DISCONNECT)
            person.post("/login/", **fields)
        self._wait(lambda: program.http.get(f"{self.product.url}/readyz", timeout=30).ok, "the database")

    def _end(self, program: Program) -> None:
        """Read all that is kept, then disconnect."""
        for path in ("", "health-checks/", "issues/", "events/", "calls/", "deliveries/"):
            program("GET", f"{self.integration}{path}")
        for path in ("integrations", "api-keys", "members", "usage", "audit-entries", "audit-entries/verify",
                     "channels/messages", "channels/conversations"):  # fmt: skip
            program("GET", f"/{path}/")
        self.echo(self.second_token)
        assert program("DELETE", self.integration).status_code == 204
        self.heal()
        program("GET", self.integration)

    def _wait(self, condition: Callable[[], object], what: str) -> None:
        """Ask until it is so, seldom enough for the API's limits."""
        end = time.monotonic() + SETTLED_WITHIN_S
        while not condition():
            assert time.monotonic() < end, f"waited for {what}\n{self.product.output}"
            time.sleep(0.5)


@pytest.fixture(scope="module")
def hunt(product: Product) -> Iterator[Hunt]:
    """The product after everything was done to it."""
    made = Hunt(product)
    made.drive()
    product.manage("sweep")  # what comes by the hour: retention, verification, evidence; it fails when one of them does
    runtime.psql(product.data_dir, "CHECKPOINT")  # what is in memory goes to the files that are searched
    return made


def found_in(hunt: Hunt, content: bytes, place: str) -> list[Hit]:
    return list(hits(hunt.canaries, content, place=place))


class TestTheSearch:
    @pytest.mark.parametrize("before", ["", "a", "ab"])
    def test_finds_a_secret_in_every_encoding(self, before: str) -> None:
        canary = new_canary("proof")
        text = f"{before}{canary.text} and more"
        encoded = [text.encode(), text.encode().hex().encode(), base64.b64encode(text.encode())]

        assert all(list(hits([canary], content, place="proof")) for content in encoded)

    def test_takes_no_other_text_for_the_secret(self) -> None:
        assert not list(hits([new_canary("one")], new_canary("other").text.encode(), place="proof"))

    def test_reaches_what_is_stored_queued_and_answered(self, hunt: Hunt) -> None:
        data_dir = hunt.product.data_dir
        files = {name: path.read_bytes() for name, path in files_of(data_dir)}
        assert MARK.encode() in database_dump(data_dir)
        assert b"opened:" in redis_content(data_dir)  # the count of opened credentials
        assert any(MARK.encode() in content for _place, content in hunt.answers.seen)
        assert any(MARK.encode() in content for name, content in files.items() if name.startswith("postgres/base/"))
        assert any(b"work_outbox" in content for name, content in files.items() if name.startswith("redis/"))
        assert b"/password-reset/" in output_of(hunt.product.output)  # the mail, printed where there is no mail server
        assert any(name.startswith("evidence/heads/") for name in files)
        assert b"sandbox" in command_lines()


class TestNothingLeaks:
    def test_into_an_answer_or_a_page(self, hunt: Hunt) -> None:
        found = [hit for place, content in hunt.answers.seen for hit in found_in(hunt, content, place)]

        assert found == []
        assert hunt.failed_pages == []

    def test_into_what_the_processes_print(self, hunt: Hunt) -> None:
        assert found_in(hunt, output_of(hunt.product.output), "output") == []

    def test_into_the_database(self, hunt: Hunt) -> None:
        assert found_in(hunt, database_dump(hunt.product.data_dir), "database") == []

    def test_into_redis(self, hunt: Hunt) -> None:
        assert found_in(hunt, redis_content(hunt.product.data_dir), "redis") == []

    def test_into_any_file(self, hunt: Hunt) -> None:
        assert hits_in_files(hunt.canaries, hunt.product.data_dir) == []

    def test_into_a_command_line(self, hunt: Hunt) -> None:
        assert found_in(hunt, command_lines(), "command lines") == []
