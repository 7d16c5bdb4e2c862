"""The three files of a new provider: they import, pass the conformance suite and say what to fill in."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Mapping
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import Any

from core.errors import Conflict, ValidationFailed
from integrations.registry import APP_OF_CATEGORY

KEY = re.compile(r"[a-z][a-z0-9_]{1,30}")

MODULE = Template('''\
"""$label: fill in from its provider card; every fact that forms, docs and health checks need is in the spec."""

from __future__ import annotations

from integrations.contract import (
    Account,
    AccountKey,
    ApiKeyAuth,
    AuthenticationFailed,
    Category,
    CheckResult,
    DataFlow,
    ErrorRule,
    Field,
    FieldKind,
    HealthSpec,
    Misconfigured,
    PermissionMissing,
    Priority,
    Provider,
    ProviderSpec,
    RateLimited,
    RequestRejected,
    Unavailable,
    Verdict,
    read_json_object,
)

SPEC = ProviderSpec(
    key="$key",
    label="$label",
    category=Category.$category,
    priority=Priority.SPECIAL,
    docs_url="https://docs.example.com/",
    api_version="v1",
    auth=ApiKeyAuth(field="api_key"),
    credentials=(
        Field(
            name="api_key",
            label="API key",
            kind=FieldKind.SECRET,
            required=True,
            pattern=r"\\S{8,200}",
            help="Where the customer finds it.",
            example="test-api-key",
        ),
    ),
    hosts={"api": "https://api.example.com/v1"},
    errors=(
        ErrorRule(error=AuthenticationFailed, statuses=(401,)),
        ErrorRule(error=PermissionMissing, statuses=(403,)),
        ErrorRule(error=RateLimited, statuses=(429,), wait_s=60),
        ErrorRule(error=Unavailable, statuses=(range(500, 600),)),
        ErrorRule(error=RequestRejected, statuses=(range(400, 500),)),
    ),
    health=HealthSpec(cost=0),
    data=(
        DataFlow(
            data="what the customer sends",
            subjects="the customer's users",
            purpose="to be named",
            country="to be named",
            mechanism="to be named",
        ),
    ),
)


class $name(Provider):
    """$label. Add the capabilities it has as mixins, in front of Provider."""

    spec = SPEC

    def check(self) -> CheckResult:
        """
        Ask whose key this is.

        :raises Misconfigured: the key is missing
        :raises PermissionMissing: the answer names no account, so control of none is proved
        """
        if "api_key" not in self.integration.secrets:
            raise Misconfigured("no API key", field="api_key", next_action="Enter the API key.")
        key = self.integration.secrets["api_key"]
        response = self.outbound.request("GET", "/me", operation="check", bearer=key)
        account_id = read_json_object(response.body).get("id")
        if not isinstance(account_id, str) or not account_id:
            raise PermissionMissing("the answer names no account", next_action="Use a key that may read its account.")
        return CheckResult(
            account=Account(external_id=account_id, label=account_id),
            account_keys=(AccountKey(value=f"account:{account_id}"),),
            verdicts=(Verdict(capability="read", ok=True),),
        )


PROVIDER = $name
''')

TEST = Template('''\
"""What is special about $label; what every provider must do is asked by tests/conformance."""

from __future__ import annotations

from typing import Any

import pytest

from $app.providers.$key import PROVIDER
from tests.wire import Wire


@pytest.fixture
def wire() -> Wire:
    return Wire(provider=PROVIDER)


class TestCheck:
    def test_sends_the_key_as_a_bearer_token(self, wire: Any) -> None:
        wire.play("ok")

        result = wire.connect().check()

        assert result.account.external_id == "acct_test_1"
        assert wire.last("GET", "/v1/me").headers["authorization"] == "Bearer test-api-key"
''')

CONNECTION: Mapping[str, Any] = MappingProxyType(
    {
        "connection": {"environment": "test", "settings": {}, "secrets": {"api_key": "test-api-key"}},
        "account_keys": {"account:acct_test_1": False},
        "scenarios": {
            "ok": [{"method": "GET", "path": "/v1/me", "fixture": "me__ok"}],
            "unauthorized": [{"method": "GET", "path": "/v1/me", "fixture": "error__401"}],
            "unproved": [{"method": "GET", "path": "/v1/me", "fixture": "me__nameless"}],
        },
    }
)

ERRORS: Mapping[str, tuple[int, str]] = MappingProxyType(
    {
        "error__400": (400, "RequestRejected"),
        "error__401": (401, "AuthenticationFailed"),
        "error__403": (403, "PermissionMissing"),
        "error__429": (429, "RateLimited"),
        "error__500": (500, "Unavailable"),
        "error__html_502": (502, "Unavailable"),
    }
)
"""Composed answers, one for each error rule and one that is no JSON."""


def write_skeleton(root: Path, *, app: str, key: str) -> list[Path]:
    """
    Write the module, the fixture folder and the test of a new provider; return the files.

    :raises ValidationFailed: the key cannot be a module's name
    :raises Conflict: one of the files exists
    """
    if not KEY.fullmatch(key) or keyword.iskeyword(key):
        text = "Use 2 to 31 lower-case letters, digits and underscores, a letter first, no word of Python."
        raise ValidationFailed("The key cannot be the name of a module.", errors={"key": [text]})
    files = _files(root, app=app, key=key)
    if taken := [path for path in files if path.exists()]:
        raise Conflict(f"{taken[0].relative_to(root)} exists; choose another key.", code="already_exists")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(files)


def _files(root: Path, *, app: str, key: str) -> dict[Path, str]:
    category = next(category for category, name in APP_OF_CATEGORY.items() if name == app)
    label = key.replace("_", " ").title()
    words = {
        "app": app,
        "key": key,
        "label": label,
        "name": f"{label.replace(' ', '')}Provider",
        "category": category.name,
    }
    tests = root / "tests" / app / "providers"
    fixtures = {tests / "fixtures" / key / name: text for name, text in _fixtures().items()}
    return {
        root / app / "providers" / f"{key}.py": MODULE.substitute(words),
        tests / f"test_{key}.py": TEST.substitute(words),
        **fixtures,
    }


def _fixtures() -> dict[str, str]:
    bodies = {name: _json({"error": {"message": "composed"}}) for name in ERRORS}
    bodies |= {"error__html_502": "<html><body>Bad gateway</body></html>\n"}
    bodies |= {"me__ok": _json({"id": "acct_test_1"}), "me__nameless": _json({})}
    facts: dict[str, dict[str, Any]] = {f"api/{name}.json": {"provenance": "composed"} for name in sorted(bodies)}
    for name, (status, error) in ERRORS.items():
        facts[f"api/{name}.json"] |= {"status": status, "error": error}
    return {
        "conformance.json": _json(dict(CONNECTION)),
        "index.json": _json(facts),
        **{f"api/{name}.json": body for name, body in bodies.items()},
    }


def _json(value: Any) -> str:
    return json.dumps(value, indent=1) + "\n"
