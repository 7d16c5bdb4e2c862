"""
PIX as data: fields, the error table of the open Pix API, webhook. Source: provider card, bacen/pix-api 2.9.0, 2026-11.

A bank has no host of ours: where it is, the customer says, and the SSRF rules decide whether it may be reached.
"""

from __future__ import annotations

from billing.contract import EventType
from integrations.contract import (
    AuthenticationFailed,
    Category,
    DataFlow,
    ErrorRule,
    Field,
    FieldKind,
    HealthSpec,
    MutualTlsAuth,
    NotFound,
    PermissionMissing,
    Priority,
    ProviderOutage,
    ProviderSpec,
    RateLimited,
    RequestRejected,
    Unavailable,
    UsageUnit,
    WebhookSpec,
)

API_VERSION = "2.9.0"
"""Of bacen/pix-api; banks carry a version of their own in the path of `base_url`."""

STATIC, BANK = "static", "bank"

SCOPES = "cob.read cob.write cobv.read pix.read pix.write webhook.read webhook.write"
"""What the verbs here need, and nothing else; a bank may answer with fewer."""

PEM_CHARS = 20_000
"""A chain of four certificates has about 8,000 characters."""

_RENEW = (
    "Check that certificate and private key are valid and are those registered for this client at the bank, "
    "then reconnect with new ones."
)

ERRORS: tuple[ErrorRule, ...] = (
    ErrorRule(error=AuthenticationFailed, exceptions=("TlsFailed", "CertificateUnusable"), remedy=_RENEW),
    ErrorRule(
        error=AuthenticationFailed,
        codes=("invalid_client", "unauthorized_client", "invalid_grant"),
        remedy="Check client id and secret at the bank; they belong to one certificate. Then reconnect.",
    ),
    ErrorRule(
        error=PermissionMissing,
        codes=("invalid_scope", "insufficient_scope"),
        remedy=f"Have the bank give this client the scopes {SCOPES}.",
    ),
    ErrorRule(error=AuthenticationFailed, statuses=(401,), remedy=_RENEW),
    ErrorRule(
        error=PermissionMissing,
        statuses=(403,),
        remedy=f"Have the bank allow this client to use the Pix key, with the scopes {SCOPES}.",
    ),
    ErrorRule(
        error=NotFound,
        codes=("CobNaoEncontrado", "CobVNaoEncontrado", "PixNaoEncontrado", "PixDevolucaoNaoEncontrada",
               "WebhookNaoEncontrado", "NaoEncontrado"),
    ),
    ErrorRule(error=NotFound, statuses=(404,)),
    ErrorRule(
        error=RequestRejected,
        codes=("PixDevolucaoInvalida",),
        reason="refund_refused",
        remedy="The bank refuses this refund: the rest, the balance or the time for refunds is not enough.",
    ),
    ErrorRule(error=RequestRejected, codes=("CobOperacaoInvalida", "CobConsultaInvalida", "RequisicaoInvalida")),
    ErrorRule(error=RequestRejected, statuses=(400,)),
    ErrorRule(error=RateLimited, statuses=(429,), wait_s=5.0),
    ErrorRule(error=ProviderOutage, codes=("ServicoIndisponivel",), wait_s=5.0),
    ErrorRule(error=ProviderOutage, statuses=(503,), wait_s=5.0),
    ErrorRule(error=Unavailable, codes=("ErroInternoDoServidor",), wait_s=1.0),
    ErrorRule(error=Unavailable, statuses=(range(500, 600),), wait_s=1.0),
)  # fmt: skip
"""
By the end of the problem's `type` (RFC 7807) or the code of the token service (RFC 6749). With 429 and no Retry-After
we wait 5 s, the pace at which the card allows to ask for one payment; failures start at a second.
"""

SPEC = ProviderSpec(
    key="pix",
    label="PIX",
    category=Category.PAYMENTS,
    priority=Priority.COMMON,
    docs_url="https://github.com/bacen/pix-api",
    api_version=API_VERSION,
    auth=MutualTlsAuth(certificate_field="certificate", key_field="private_key"),
    credentials=(
        Field(
            name="client_id",
            label="Client id",
            pattern=r"[!-9;-~]{1,200}",
            max_length=200,
            help="Mode bank: of the application that the bank made for its Pix API.",
            example="test-client",
        ),
        Field(
            name="client_secret",
            label="Client secret",
            kind=FieldKind.SECRET,
            pattern=r"[!-~]{1,500}",
            max_length=500,
            help="Mode bank: empty where the bank tells clients apart by certificate alone.",
            example="test-client-secret",
        ),
        Field(
            name="certificate",
            label="Client certificate (PEM)",
            kind=FieldKind.FILE,
            pattern=r"\s*-----BEGIN CERTIFICATE-----[\s\S]+-----END CERTIFICATE-----\s*",
            max_length=PEM_CHARS,
            help="Mode bank: the certificate registered at the bank, first in its chain; convert a .p12 file to PEM.",
            example="-----BEGIN CERTIFICATE-----…-----END CERTIFICATE-----",
        ),
        Field(
            name="private_key",
            label="Private key (PEM)",
            kind=FieldKind.SECRET,
            pattern=r"\s*-----BEGIN (EC |RSA )?(PRIVATE KEY)-----[\s\S]+-----END (EC |RSA )?(PRIVATE KEY)-----\s*",
            max_length=PEM_CHARS,
            help="Mode bank: the certificate's key, without a password.",
            example="-----BEGIN {0}-----…-----END {0}-----".format("PRIVATE KEY"),
        ),
    ),
    settings=(
        Field(
            name="mode",
            label="Mode",
            kind=FieldKind.CHOICE,
            required=True,
            choices=((STATIC, "Static codes"), (BANK, "Pix API of a bank")),
            help="Static codes need nothing but the key, and nobody tells when they are paid. The Pix API of a bank "
            "charges, reports, and gives back.",
            example=STATIC,
        ),
        Field(
            name="pix_key",
            label="Pix key",
            required=True,
            max_length=77,
            help="The key that the money goes to, as it is registered at the bank.",
            example="pix@example.com",
        ),
        Field(
            name="key_type",
            label="Kind of key",
            kind=FieldKind.CHOICE,
            required=True,
            choices=(("cpf", "CPF"), ("cnpj", "CNPJ"), ("phone", "Phone"), ("email", "E-mail"), ("random", "Random")),
            help="Eleven digits may be a CPF or a phone number.",
            example="email",
        ),
        Field(
            name="merchant_name",
            label="Name of the payee",
            required=True,
            max_length=100,
            help="Shown to the payer; a code carries 25 characters without accents.",
            example="LOJA EXEMPLO",
        ),
        Field(
            name="merchant_city",
            label="City of the payee",
            required=True,
            max_length=100,
            help="A code carries 15 characters without accents.",
            example="SAO PAULO",
        ),
        Field(
            name="base_url",
            label="Address of the Pix API",
            kind=FieldKind.URL,
            pattern=r"https?://[!-~]{3,300}",
            max_length=310,
            help="Mode bank: from the bank's documentation, with its version.",
            example="https://pix.bank.example/api/v2",
            destination=True,
        ),
        Field(
            name="token_url",
            label="Address of the token service",
            kind=FieldKind.URL,
            pattern=r"https?://[!-~]{3,300}",
            max_length=310,
            help="Mode bank: where client id and secret are exchanged for a token.",
            example="https://pix.bank.example/oauth/token",
            destination=True,
        ),
    ),
    default_role="base_url",
    deadlines={"create_payment": 30.0, "refund_payment": 30.0},
    webhook=WebhookSpec(
        signature="",
        signature_header="",
        secret_field="",
        events=(EventType.PAYMENT_UPDATED.value,),
        routing_key="none: the unguessable address of the integration; the bank is asked whose key the money reached",
        event_key="endToEndId, with id and status of each return",
        signs_body=False,
        max_bytes=1024 * 1024,
    ),
    errors=ERRORS,
    health=HealthSpec(period_s=900.0, cost=0),
    usage=(UsageUnit(name="payments", label="Payments"),),
    regions=("BR",),
    compliance=("LGPD", "BCB Resolution 1/2020"),
    data=(
        DataFlow(
            data="name, CPF or CNPJ, description of the purchase",
            subjects="the organization's payers",
            purpose="to charge and to give back",
            country="Brazil",
            mechanism="none needed: the bank is in Brazil",
        ),
    ),
)
