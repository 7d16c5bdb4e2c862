"""A vendor that exists nowhere: its check answers by the token it is given, without any call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from core.secret import Secret
from integrations.contract import (
    Account,
    AccountKey,
    ApiKeyAuth,
    AuthenticationFailed,
    Category,
    CheckResult,
    Field,
    FieldKind,
    InboundEvent,
    InboundRequest,
    Priority,
    Provider,
    ProviderSpec,
    RateLimit,
    RateLimited,
    ReceivesWebhooks,
    RequestRejected,
    Scope,
    SignatureRefused,
    Unavailable,
    UnexpectedResponse,
    Verdict,
    WebhookSpec,
)

GOOD, WRONG, DOWN, LIMITED, ODD, REFUSED = (f"test-{word}" for word in ("good", "wrong", "down", "slow", "odd", "no"))

FAILURES = {
    WRONG: AuthenticationFailed("refused", vendor_code="190", vendor_detail="The token ended."),
    DOWN: Unavailable("connection refused"),
    LIMITED: RateLimited("slow down", retry_after_s=7.2),
    ODD: UnexpectedResponse("a page instead of JSON"),
    REFUSED: RequestRejected("no", field="region"),
}


class FictionalProvider(ReceivesWebhooks, Provider):
    """Answers by the token."""

    spec: ClassVar[ProviderSpec] = ProviderSpec(
        key="fictional",
        label="Fictional",
        category=Category.ANALYTICS,
        priority=Priority.SPECIAL,
        docs_url="https://docs.example.com/",
        api_version="v3",
        auth=ApiKeyAuth(field="token"),
        credentials=(
            Field(
                name="token", label="Token", kind=FieldKind.SECRET, required=True, pattern="test-.+", help="See docs."
            ),
            Field(name="signing_secret", label="Signing secret", kind=FieldKind.SECRET),
        ),
        settings=(
            Field(name="account", label="Account", required=True, pattern="[a-z0-9]+"),
            Field(name="region", label="Region", kind=FieldKind.CHOICE, choices=(("eu", "Europe"), ("us", "America"))),
        ),
        limits=(RateLimit(scope=Scope.ACCOUNT, count=10, per_s=1),),
        webhook=WebhookSpec(
            signature="plain",
            signature_header="X-Signature",
            secret_field="signing_secret",
            events=("thing.happened",),
            routing_key="account",
            event_key="id",
        ),
    )

    def check(self) -> CheckResult:
        """Answer by the token."""
        token = self.integration.secrets["token"].reveal()
        if failure := FAILURES.get(token):
            raise failure
        account = str(self.integration.settings["account"])
        return CheckResult(
            account=Account(external_id=account, label=f"Account {account}"),
            account_keys=(AccountKey(value=f"account:{account}"),),
            verdicts=(
                Verdict(capability="read", ok=True),
                Verdict(capability="write", ok=False, detail="Not granted."),
            ),
        )

    @classmethod
    def verify(cls, request: InboundRequest, secrets: Sequence[Secret]) -> None:
        """Take the secret itself as the signature."""
        if request.headers.get("x-signature") not in {secret.reveal() for secret in secrets}:
            raise SignatureRefused("wrong", reason="wrong")

    @classmethod
    def parse(cls, request: InboundRequest) -> Sequence[InboundEvent]:
        """Find one fact per delivery."""
        return [
            InboundEvent(
                type="thing.happened", key=request.body.decode(), account_key="", occurred_at=None, data={}, raw={}
            )
        ]


def body(**changes: Any) -> dict[str, Any]:
    """Make the body that connects an account."""
    return {
        "provider": "fictional",
        "name": "Numbers",
        "environment": "test",
        "credentials": {"token": GOOD, "signing_secret": "test-signing"},
        "settings": {"account": "acc1"},
        **changes,
    }
