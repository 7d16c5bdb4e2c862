"""
PIX: static codes made from a key, or any bank's Pix API (immediate charges; due-date charges are read, not made).

An integration is of one mode. A static one calls nobody and learns of no payment; what needs a bank it refuses.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar, Final

from billing import brcode
from billing.contract import (
    AnyState,
    MakesStaticCodes,
    Method,
    ObjectKind,
    PaymentRequest,
    PaymentState,
    ReadsBilling,
    ReadsPaymentEvents,
    RefundRequest,
    RefundState,
    StaticCode,
    StaticCodeRequest,
    TakesPayments,
)
from billing.pix_keys import PixKey, read_key
from billing.providers import _pix_charges, _pix_events
from billing.providers._pix_bank import Bank, in_path
from billing.providers._pix_certificate import WARN_BEFORE, ends_at
from billing.providers._pix_charges import Charges
from billing.providers._pix_spec import BANK, SPEC
from billing.providers._pix_states import CURRENCY, account_of
from billing.tax_ids import FieldRefused
from core import clock
from core.secret import Secret, Secrets
from integrations.contract import (
    Account,
    AuthenticationFailed,
    CheckResult,
    FetchesDetails,
    InboundEvent,
    InboundRequest,
    Misconfigured,
    NotFound,
    OutboundResponse,
    Provider,
    ProviderSpec,
    ReceivesWebhooks,
    Reconciles,
    RegisteredWebhook,
    RegistersWebhook,
    RequestRejected,
    UnexpectedResponse,
    VendorError,
    Verdict,
    WebhookState,
)

SINK: Final = "?ignorar="
"""
Put behind our address at the bank. Many banks post to the address with "/pix" behind it; so it ends in the query.
"""

_NEEDS: Final[Mapping[str, frozenset[str]]] = {
    "takes_payments": frozenset({"cob.read", "cob.write"}),
    "refunds_payments": frozenset({"pix.read", "pix.write"}),
    "reads_payments": frozenset({"pix.read"}),
}
"""Capability -> the scopes that it needs."""

_FOR_BANKS: Final = ("base_url", "token_url", "client_id", "certificate", "private_key")
"""Fields that mode bank needs, besides those that every mode does."""


class PixProvider(
    MakesStaticCodes,
    TakesPayments,
    ReadsBilling,
    ReadsPaymentEvents,
    ReceivesWebhooks,
    FetchesDetails,
    RegistersWebhook,
    Reconciles,
    Provider,
):
    """One Pix key: by itself (mode static), or at the bank that holds it (mode bank)."""

    spec: ClassVar[ProviderSpec] = SPEC
    methods: ClassVar[frozenset[Method]] = frozenset({Method.PIX})
    currencies: ClassVar[frozenset[str]] = frozenset({CURRENCY})

    def check(self) -> CheckResult:
        """
        Make a code and read it again; with a bank, also get a token and ask where the key's webhook goes.

        No account key is claimed in either mode. A static key is only typed. And a bank proves nothing to anybody
        else: the customer names its address, so that whoever wants another's key need only run a bank that says yes.
        Nothing is lost: webhooks come to the integration's own address, and each is asked for at the same bank.

        :raises ProviderError: the bank refuses the client, or the key
        """
        key = self._key
        self._require_readable_code(key)
        if self._mode != BANK:
            return CheckResult(
                account=Account(external_id="", label=f"PIX {key.masked}"),
                account_keys=(),
                verdicts=(Verdict(capability="makes_static_codes", ok=True),),
                facts={"mode": self._mode, "key_type": key.key_type.value},
            )
        return self._checked_bank(key)

    @classmethod
    def validate(cls, settings: Mapping[str, Any], secrets: Secrets) -> Mapping[str, Sequence[str]]:
        """Refuse a key that is none, a name that no code can carry, and mode bank without its credential."""
        try:
            key = read_key(str(settings.get("pix_key") or ""), str(settings.get("key_type") or ""))
            _static_code(key, settings, StaticCodeRequest())
        except FieldRefused as refusal:
            field = "pix_key" if refusal.field == "key" else refusal.field
            return {f"settings.{field}": [refusal.remedy]}
        if settings.get("mode") != BANK:
            return {}
        settings_names = {item.name for item in cls.spec.settings}
        return {
            f"settings.{name}" if name in settings_names else f"credentials.{name}": ["Mode bank needs it."]
            for name in _FOR_BANKS
            if not settings.get(name) and name not in secrets
        }

    @classmethod
    def read_error(cls, response: OutboundResponse) -> VendorError:
        """
        Read the end of a problem's `type`, or the token service's `error`.

        Shape: RFC 7807 {type, title, status, detail, violacoes: [{razao, propriedade}]}; RFC 6749 {error}.
        """
        try:
            body = json.loads(response.body)
        except (ValueError, RecursionError):
            return VendorError(status=response.status)
        facts = body if isinstance(body, dict) else {}
        code = str(facts.get("type") or facts.get("error") or "").rstrip("/").rpartition("/")[2]
        return VendorError(status=response.status, code=code or None, detail=_explained(facts))

    @classmethod
    def verify(cls, request: InboundRequest, secrets: Sequence[Secret]) -> None:
        """
        Accept what came to the integration's own address: nobody signs, so that nothing in the body is believed.

        The address is unguessable; the edge may demand the bank's client certificate in addition. What happened is
        read from the bank in `fetch`, before any effect.
        """

    @classmethod
    def parse(cls, request: InboundRequest) -> Sequence[InboundEvent]:
        """Turn one webhook into thin events, one for each payment; see `_pix_events.read_webhook`."""
        return _pix_events.read_webhook(request.body)

    def fetch(self, event: InboundEvent) -> InboundEvent:
        """
        Ask the bank for the payment and its charge, and for whose key they are.

        :raises NotFound: the bank knows no such payment
        :raises RequestRejected: reason "foreign_account": the money is for another key
        """
        payment, charge = self._charges.read_payment(event.external_id)
        return _pix_events.filled_event(event, payment=payment, charge=charge)

    @classmethod
    def read_states(cls, event: InboundEvent) -> Sequence[AnyState]:
        """Return what a fetched event says of its charge; see `_pix_events.states_of`."""
        return _pix_events.states_of(event)

    def list_since(self, when: datetime) -> Iterator[InboundEvent]:
        """List the payments since a moment with the keys of webhooks; each is fetched like a webhook's."""
        return map(_pix_events.thin_event, self._charges.payments(since=when, until=clock.now()))

    def has_webhook(self) -> bool:
        """A static code has no bank that would tell of its payments."""
        return self._mode == BANK

    def register_webhook(self, url: str) -> RegisteredWebhook:
        """Have the bank post this key's payments to us; a key has one address, which is replaced."""
        self._bank.call("PUT", self._webhook_path, operation="register_webhook", json={"webhookUrl": f"{url}{SINK}"})
        return RegisteredWebhook(url=url, external_id=self._key.value)

    def unregister_webhook(self) -> None:
        """Stop the bank from posting, unless the key's payments go elsewhere by now."""
        if not self.has_webhook() or not self.inspect_webhook().registered:
            return
        try:
            self._bank.call("DELETE", self._webhook_path, operation="unregister_webhook")
        except NotFound:
            return

    def inspect_webhook(self) -> WebhookState:
        """Ask where the key's payments are posted."""
        found = self._bank.find(self._webhook_path, operation="inspect_webhook")
        posted = _posted_to(found)
        if not posted:
            return WebhookState(registered=False, detail="The bank has no webhook for this Pix key.")
        if posted == self.integration.webhook_url.rstrip("/"):
            return WebhookState(registered=True, url=self.integration.webhook_url)
        return WebhookState(registered=False, url=posted, detail="The bank posts this key's payments elsewhere.")

    def check_payment(self, request: PaymentRequest) -> None:
        """Check a charge against the standard's rules."""
        self._require_bank()
        _pix_charges.check(request)

    def create_payment(self, request: PaymentRequest) -> PaymentState:
        """Make an immediate charge; its txid is our reference, so that a repeated one is the same."""
        self.check_payment(request)
        return self._charges.create(request)

    def fetch_payment(self, external_id: str) -> PaymentState:
        """Read a charge, immediate or with a due date, by its txid."""
        return self._charges.fetch(external_id)

    def find_payment(self, request: PaymentRequest, *, since: datetime) -> PaymentState | None:
        """Read the charge that a request would have made."""
        return self._charges.find(request)

    def cancel_payment(self, external_id: str, *, idempotency_key: str) -> PaymentState:
        """Remove a charge that nobody has paid."""
        return self._charges.cancel(external_id)

    def refund_payment(self, request: RefundRequest) -> RefundState:
        """Give back part or all of a payment; the id of the return is our reference."""
        return self._charges.refund(request)

    def fetch_object(self, kind: ObjectKind, external_id: str) -> AnyState:
        """Read a payment or a refund; a bank's Pix API has nothing else."""
        if kind is ObjectKind.PAYMENT:
            return self._charges.fetch(external_id)
        if kind is ObjectKind.REFUND:
            return self._charges.fetch_refund(external_id)
        raise RequestRejected(f"no {kind} at a bank", reason="unsupported", next_action="Ask for a payment or refund.")

    def list_payments(self, *, since: datetime, until: datetime) -> Iterator[PaymentState]:
        """List the charges that were made or paid in a time."""
        return self._charges.listed(since=since, until=until)

    def make_static_code(self, request: StaticCodeRequest) -> StaticCode:
        """
        Make a code from this integration's key; nobody tells whether it was paid.

        :raises RequestRejected: a value does not fit into a code; names the field
        """
        try:
            return StaticCode(brcode=_static_code(self._key, self.integration.settings, request))
        except FieldRefused as refusal:
            raise RequestRejected(
                refusal.detail, field=refusal.field, reason="invalid_code", next_action=refusal.remedy
            ) from None

    @property
    def _mode(self) -> str:
        return str(self.integration.settings.get("mode") or "")

    @cached_property
    def _key(self) -> PixKey:
        settings = self.integration.settings
        try:
            return read_key(str(settings.get("pix_key") or ""), str(settings.get("key_type") or ""))
        except FieldRefused as refusal:
            field = "pix_key" if refusal.field == "key" else refusal.field
            raise Misconfigured("the Pix key cannot be read", field=field, next_action=refusal.remedy) from None

    @cached_property
    def _bank(self) -> Bank:
        self._require_bank()
        return Bank(self.integration, self.outbound)

    @cached_property
    def _charges(self) -> Charges:
        return Charges(self._bank, self._key.value)

    @property
    def _webhook_path(self) -> str:
        return f"/webhook/{in_path(self._key.value)}"

    def _require_bank(self) -> None:
        if self._mode != BANK:
            raise Misconfigured(
                "a static integration has no bank",
                field="mode",
                next_action="Connect the Pix API of the key's bank (mode bank): static codes report nothing.",
            )

    def _require_readable_code(self, key: PixKey) -> None:
        """Read back what is made, as a payer's bank would."""
        made = self.make_static_code(StaticCodeRequest())
        if brcode.parse(made.brcode).key != key.value:
            raise UnexpectedResponse("a code that was made does not carry its key")

    def _checked_bank(self, key: PixKey) -> CheckResult:
        self._bank.require_credential()
        certificate_ends_at = self._certificate_end()
        scopes = self._bank.granted()
        webhook = self._bank.find(self._webhook_path, operation="inspect_webhook")
        if webhook is not None and account_of(webhook) not in ("", key.value):
            raise UnexpectedResponse("the bank answered for another Pix key than it was asked for")
        is_ending = certificate_ends_at - clock.now() <= WARN_BEFORE
        return CheckResult(
            account=Account(external_id=key.value, label=f"PIX {key.masked}"),
            account_keys=(),
            verdicts=tuple(self._verdicts(scopes, webhook)),
            degraded=f"The client certificate ends on {certificate_ends_at:%Y-%m-%d}; give a new one before that day."
            if is_ending
            else "",
            facts={"mode": BANK, "key_type": key.key_type.value, "scopes": sorted(scopes)},
            expires_at=certificate_ends_at,
        )

    def _verdicts(self, scopes: frozenset[str], webhook: Mapping[str, Any] | None) -> Iterator[Verdict]:
        yield Verdict(capability="makes_static_codes", ok=True)
        for capability, needed in _NEEDS.items():
            missing = ", ".join(sorted(needed - scopes))
            detail = f"The bank did not give the scopes {missing}." if missing else ""
            yield Verdict(capability=capability, ok=not missing, detail=detail)
        if ours := self.integration.webhook_url.rstrip("/"):
            is_ours = _posted_to(webhook) == ours
            detail = "" if is_ours else "The bank does not post this key's payments here."
            yield Verdict(capability="receives_webhooks", ok=is_ours, detail=detail)

    def _certificate_end(self) -> datetime:
        """Return when the client certificate ends; :raises AuthenticationFailed: it has."""
        remedy = "Give the client certificate that is registered at the bank, in PEM form."
        try:
            found = ends_at(self.integration.secrets["certificate"].reveal())
        except ValueError:
            raise Misconfigured("the certificate cannot be read", field="certificate", next_action=remedy) from None
        if found <= clock.now():
            raise AuthenticationFailed(
                "the client certificate has ended",
                field="certificate",
                next_action=f"The client certificate ended on {found:%Y-%m-%d}: reconnect with a new one.",
            )
        return found


def _static_code(key: PixKey, settings: Mapping[str, Any], request: StaticCodeRequest) -> str:
    return brcode.build_static(
        key,
        merchant_name=str(settings.get("merchant_name") or ""),
        merchant_city=str(settings.get("merchant_city") or ""),
        amount_minor=request.amount_minor,
        txid=request.txid or None,
        description=request.description or None,
    )


def _posted_to(webhook: Mapping[str, Any] | None) -> str:
    """Return the address that a bank posts to, without what was put behind it."""
    url = webhook.get("webhookUrl") if webhook else None
    return url.partition("?")[0].rstrip("/") if isinstance(url, str) else ""


def _explained(facts: Mapping[str, Any]) -> str:
    """Put together what a bank says of an error: its sentence, then each violation with the field."""
    said = [facts.get("detail") or facts.get("error_description") or facts.get("title")]
    rows = facts.get("violacoes")
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, dict):
            said.append(f"{row.get('propriedade', '')}: {row.get('razao', '')}")
    return " ".join(text for text in said if isinstance(text, str))


PROVIDER = PixProvider
