"""MercadoPago as data: fields, hosts, webhook, the error table. Source: provider card, as of 2026-11."""

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
    NotFound,
    OAuth2Auth,
    PermissionMissing,
    Priority,
    ProviderSpec,
    RateLimit,
    RateLimited,
    RequestRejected,
    Scope,
    Unavailable,
    UsageUnit,
    WebhookSpec,
)

DAY_S = 86400.0

TOLERANCE_S = 3 * DAY_S
"""
None is prescribed. Repetitions may carry the time of the first try and come for more than a day; what a replay says is
asked of the API anyway, so that an old stamp can do no harm.
"""

SITES = {"BR": "MLB", "AR": "MLA", "MX": "MLM"}
CURRENCIES = {"BR": "BRL", "AR": "ARS", "MX": "MXN"}
"""Country -> site and currency; an account belongs to one site and takes its currency alone."""

RECONNECT = "Connect the MercadoPago account again: its owner ended the access, or a newer token replaced this one."

ERRORS: tuple[ErrorRule, ...] = (
    ErrorRule(
        error=AuthenticationFailed,
        codes=("invalid_grant", "invalid_client", "unauthorized_client"),
        remedy=RECONNECT,
    ),
    ErrorRule(error=Unavailable, statuses=(400,), codes=(2004, 2007), wait_s=2.0),
    ErrorRule(
        error=RequestRejected,
        statuses=(400,),
        codes=(2006, 2062, 3003),
        reason="card_token_invalid",
        remedy="A card token serves once and for seven days: show the card form again and use its new token.",
    ),
    ErrorRule(
        error=RequestRejected,
        statuses=(400,),
        codes=(13253,),
        reason="pix_key_missing",
        remedy="Register a PIX key in the MercadoPago account, then try again.",
    ),
    ErrorRule(
        error=RequestRejected,
        statuses=(400,),
        codes=(2067, 4097, 4098),
        reason="tax_id_invalid",
        remedy="Correct the payer's tax id; MercadoPago does not know this one.",
    ),
    ErrorRule(
        error=RequestRejected,
        statuses=(400,),
        codes=(23,),
        reason="expiration_invalid",
        remedy="Choose another expiry: a PIX lives from 30 minutes to 30 days.",
    ),
    ErrorRule(
        error=PermissionMissing,
        statuses=(400, 403),
        codes=(7, 3009, 2034),
        reason="credentials_mixed",
        remedy="Seller, buyer, card token and public key must all be of one country, and all be test or all be live.",
    ),
    ErrorRule(
        error=RequestRejected,
        statuses=(402,),
        reason="payment_declined",
        remedy="The payment was declined: ask the payer for another way to pay.",
    ),
    ErrorRule(error=AuthenticationFailed, statuses=(401,), remedy=RECONNECT),
    ErrorRule(
        error=PermissionMissing,
        statuses=(403,),
        remedy="Give the application the rights read, write and offline_access, then connect the account again.",
    ),
    ErrorRule(error=NotFound, statuses=(404,)),
    ErrorRule(error=RequestRejected, statuses=(409,), reason="idempotency_conflict"),
    ErrorRule(error=Unavailable, statuses=(423, 424), wait_s=1.0),
    ErrorRule(error=RateLimited, statuses=(429,), wait_s=5.0),
    ErrorRule(error=RequestRejected, statuses=(400, 422)),
    ErrorRule(error=Unavailable, statuses=(range(500, 600),), wait_s=2.0),
)
"""
By the code of the first cause, else by the status; a rejected card is no error but a payment (201). 423 and 424 wait
1 to 5 s, 429 5, 10, 30 s unless Retry-After says otherwise. After a 5xx of a POST the same idempotency key is repeated.
"""

_KEY_SHAPE = r"(TEST|APP_USR)-[A-Za-z0-9_-]{8,250}"

_CREDENTIALS = (
    Field(
        name="access_token",
        label="Access token",
        kind=FieldKind.SECRET,
        required=True,
        pattern=_KEY_SHAPE,
        help="Of your own application (Your integrations, Credentials), or from connecting the account with a login.",
        example="TEST-1234567890123456-sandbox-example",
    ),
    Field(
        name="refresh_token",
        label="Refresh token",
        kind=FieldKind.SECRET,
        pattern=r"TG-\S{4,250}",
        help="Written when the account is connected with a login; it serves once and is replaced at each refresh.",
        example="TG-sandbox-example",
    ),
    Field(
        name="webhook_secret",
        label="Webhook secret",
        kind=FieldKind.SECRET,
        pattern=r"\S{8,250}",
        help="MercadoPago has no API to register webhooks: paste this integration's webhook URL in Your integrations, "
        "Webhooks, tick Payments, Subscriptions, Chargebacks and Orders, and copy the secret signature from there. Not "
        "needed where this platform's application signs.",
        example="test-webhook-secret",
    ),
    Field(
        name="public_key",
        label="Public key",
        pattern=_KEY_SHAPE,
        help="For the card form in the payer's browser; not a secret.",
        example="TEST-00000000-0000-4000-8000-000000000017",
    ),
)

_SETTINGS = (
    Field(
        name="country",
        label="Country",
        kind=FieldKind.CHOICE,
        required=True,
        choices=(("BR", "Brazil"), ("AR", "Argentina"), ("MX", "Mexico")),
        help="Where the MercadoPago account is; currency and ways to pay follow from it.",
        example="BR",
    ),
    Field(
        name="collector_id",
        label="Seller id",
        pattern=r"[0-9]{1,20}",
        help="The account's user id at MercadoPago; found by the check.",
        example="200000017",
        found_by_check=True,
    ),
)

SPEC = ProviderSpec(
    key="mercadopago",
    label="MercadoPago",
    category=Category.PAYMENTS,
    priority=Priority.CORE,
    docs_url="https://www.mercadopago.com.br/developers/en/reference",
    api_version="v1",
    auth=OAuth2Auth(
        authorize_role="auth",
        token_role="api",  # noqa: S106  the name of a role
        scopes=("offline_access", "read", "write"),
        pkce=True,
        rotates=True,
        margin_s=30 * DAY_S,
    ),
    credentials=_CREDENTIALS,
    settings=_SETTINGS,
    hosts={
        "api": "https://api.mercadopago.com",
        "auth": "https://auth.mercadopago.com",
        "script": "https://sdk.mercadopago.com",
        "fields": "https://secure-fields.mercadopago.com",
        "fields_reserve": "https://api-static.mercadopago.com",
    },
    deadlines={"create_payment": 30.0, "refund_payment": 30.0, "refresh_token": 40.0},
    limits=(RateLimit(scope=Scope.ACCOUNT, count=10, per_s=1.0),),
    webhook=WebhookSpec(
        signature="hmac_sha256_manifest",
        signature_header="x-signature",
        secret_field="webhook_secret",  # noqa: S106  the name of a field
        events=(
            EventType.PAYMENT_UPDATED.value,
            EventType.SUBSCRIPTION_UPDATED.value,
            EventType.INVOICE_UPDATED.value,
            EventType.DISPUTE_UPDATED.value,
            EventType.CHECKOUT_UPDATED.value,
            EventType.ACCOUNT_UPDATED.value,
            EventType.ACCOUNT_DISCONNECTED.value,
            EventType.UNKNOWN.value,
        ),
        routing_key="user_id, the seller; for mp-connect the signed data.id",
        event_key="id of the notification; once fetched the object's id, status and time of change",
        signs_body=False,
        signs_time=True,
        tolerance_s=TOLERANCE_S,
        response_time_s=22.0,
    ),
    errors=ERRORS,
    health=HealthSpec(period_s=3600.0, cost=0),
    usage=(UsageUnit(name="payments", label="Payments"),),
    regions=("BR", "AR", "MX"),
    compliance=("PCI DSS", "LGPD"),
    data=(
        DataFlow(
            data="name, e-mail, tax id, address for boletos, payment details entered at MercadoPago",
            subjects="the organization's payers",
            purpose="to charge, refund and bill",
            country="Brazil, Argentina or Mexico, as the account; processed in the United States",
            mechanism="standard contractual clauses (Res. CD/ANPD 19/2024)",
        ),
    ),
)
"""
A token lives 180 days and is renewed 30 days before. The rate is not published: ten calls a second is our own modesty.
One check an hour, as a token that is revoked is also told by webhook.
"""
