"""WhatsApp Cloud API as data: fields, hosts, limits, webhook, the error table. Source: provider card, as of 2026-11."""

from __future__ import annotations

from channels_app.contract import EventType
from channels_app.providers._meta import GRAPH_ERRORS, GRAPH_URL, GRAPH_VERSION, SIGNATURE_HEADER
from integrations.contract import (
    ApiKeyAuth,
    Category,
    DataFlow,
    ErrorRule,
    Field,
    FieldKind,
    HealthSpec,
    NotFound,
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

DAY_S = 86_400.0
HOUR_S = 3_600.0

TRANSFER_S = 85.0
"""Uploads and downloads of up to 100 MB; below the 90 s that a worker gives one task."""

_ID = "[0-9]{5,20}"
_OPAQUE = r"\S{1,1000}"

_CREDENTIALS = (
    Field(
        name="access_token",
        label="Access token",
        kind=FieldKind.SECRET,
        required=True,
        pattern=_OPAQUE,
        help="Permanent token of a system user with whatsapp_business_messaging and whatsapp_business_management "
        "(Meta business settings, System users). A token of the App Dashboard ends after about a day.",
        example="EAAtest-access-token",
    ),
    Field(
        name="app_secret",
        label="App secret",
        kind=FieldKind.SECRET,
        pattern=_OPAQUE,
        help="Secret of the Meta app (App settings, Basic); it checks the signature of webhooks. "
        "Needed unless the app of this platform signs them.",
        example="0123456789abcdef0123456789abcdef",
    ),
    Field(
        name="verify_token",
        label="Verify token",
        kind=FieldKind.SECRET,
        pattern=r"\S{1,256}",
        help="Text with which Meta proves itself when the webhook is registered; made for you when left empty.",
        example="test-verify-token",
    ),
    Field(
        name="pin",
        label="Two-step pin",
        kind=FieldKind.SECRET,
        pattern="[0-9]{6}",
        help="Six digits; needed only to register the phone number.",
        example="123456",
    ),
)

_SETTINGS = (
    Field(
        name="phone_number_id",
        label="Phone number id",
        required=True,
        pattern=_ID,
        help="Id of the phone number, not the number itself (WhatsApp Manager, API setup).",
        example="100000000000001",
    ),
    Field(
        name="waba_id",
        label="WhatsApp Business Account id",
        required=True,
        pattern=_ID,
        help="Id of the account that owns the phone number (WhatsApp Manager, API setup).",
        example="200000000000001",
    ),
    Field(
        name="app_id",
        label="App id",
        pattern=_ID,
        help="Id of the Meta app that the token and the secret belong to; with it the check sees more.",
        example="300000000000001",
    ),
)

_LIMITS = (
    RateLimit(scope=Scope.ACCOUNT, count=80, per_s=1.0, operations=("send",)),
    RateLimit(scope=Scope.RECIPIENT, count=10, per_s=60.0, burst=45, operations=("send",)),
    RateLimit(scope=Scope.RECIPIENT, count=600, per_s=HOUR_S, operations=("send",)),
    RateLimit(scope=Scope.ACCOUNT, count=25, per_s=1.0, operations=("upload_media",)),
    RateLimit(
        scope=Scope.PORTFOLIO,
        count=5000,
        per_s=HOUR_S,
        operations=("list_templates", "create_template", "edit_template", "delete_template", "list_phone_numbers"),
    ),
)
"""
Throughput, pair and management limits; the last counts what an app does with one WhatsApp Business Account. The
messaging limit (250 to unlimited people a day, by portfolio) differs by account and counts people, not calls: the check
tells it, and `services/messaging_limits.py` keeps it.
"""

_SENDING_ERRORS: tuple[ErrorRule, ...] = (
    ErrorRule(
        error=RequestRejected,
        codes=(131047,),
        scope=Scope.RECIPIENT,
        reason="window_closed",
        remedy="More than 24 hours have passed since this person wrote: send an approved template.",
    ),
    ErrorRule(
        error=RequestRejected,
        codes=(131049, 130472),
        scope=Scope.RECIPIENT,
        reason="marketing_held_back",
        wait_s=DAY_S,
        remedy="Meta holds marketing back for this person: wait at least 24 hours, earlier tries fail again.",
    ),
    ErrorRule(
        error=RequestRejected,
        codes=(131026, 131050, 130403, 131030, 137000),
        scope=Scope.RECIPIENT,
        reason="recipient_unreachable",
        remedy="This person cannot be reached, opted out, blocked the number or changed identity: stop sending there.",
    ),
    ErrorRule(
        error=RequestRejected,
        codes=(132015, 132016, 132068, 132069),
        reason="template_paused",
        remedy="Meta paused or disabled this template or flow: improve it in WhatsApp Manager, then send again.",
    ),
    ErrorRule(
        error=NotFound,
        codes=(132001,),
        reason="template_missing",
        remedy="Create the template in this language, or use a name and language that are approved.",
    ),
    ErrorRule(
        error=NotFound,
        codes=(131052,),
        reason="media_missing",
        remedy="The file can no longer be fetched; ask the sender to send it again.",
    ),
    ErrorRule(
        error=RequestRejected,
        codes=(131053,),
        reason="media_refused",
        remedy="Send a file of a type and size that WhatsApp takes; the vendor's detail names them.",
    ),
    ErrorRule(
        error=RequestRejected,
        codes=(132000, 132005, 132007, 132008, 132012, 132018),
        reason="template_mismatch",
        remedy="Give exactly the parameters that the approved template declares, in its format.",
    ),
    ErrorRule(
        error=RequestRejected,
        codes=(131062, 131063),
        reason="identity_not_allowed",
        remedy="This kind of template needs the person's phone number; a user id is not enough.",
    ),
    ErrorRule(
        error=RequestRejected,
        codes=(131008, 131009, 131021, 131051, 131055, 135000),
        remedy="Correct the field that the vendor's detail names; the same request is refused again.",
    ),
)

_LIMIT_ERRORS: tuple[ErrorRule, ...] = (
    ErrorRule(error=RateLimited, codes=(130429,), reason="throughput", wait_s=1.0),
    ErrorRule(
        error=RateLimited, codes=(131056,), scope=Scope.RECIPIENT, reason="pair_limit", wait_s=1.0, wait_factor=4.0
    ),
    ErrorRule(
        error=RateLimited,
        codes=(131048, 131064),
        reason="spam_limit",
        wait_s=4 * HOUR_S,
        remedy="Meta limits this number because people blocked or reported its messages: stop campaigns for now.",
    ),
    ErrorRule(
        error=RateLimited,
        codes=(133016, 133008, 133009),
        reason="registration_limit",
        wait_s=HOUR_S,
        remedy="Too many registrations or pins were tried; the vendor's detail says when to try again.",
    ),
)

_ACCOUNT_ERRORS: tuple[ErrorRule, ...] = (
    ErrorRule(
        error=PermissionMissing,
        codes=(131005,),
        remedy="Give the token whatsapp_business_messaging and whatsapp_business_management for this account.",
    ),
    ErrorRule(
        error=PermissionMissing,
        codes=(131042, 134011),
        reason="payment_method",
        remedy="Meta cannot charge this account: mend the payment method in WhatsApp Manager.",
    ),
    ErrorRule(
        error=PermissionMissing,
        codes=(133010, 131045),
        reason="number_not_registered",
        remedy="Register the phone number with its pin, then test the connection.",
    ),
    ErrorRule(
        error=PermissionMissing,
        codes=(131037,),
        reason="name_not_approved",
        remedy="Wait until Meta approves the display name, or ask for another one in WhatsApp Manager.",
    ),
    ErrorRule(
        error=PermissionMissing,
        codes=(131031, 130497),
        reason="account_locked",
        remedy="Meta locked this account or its country: see Account quality in WhatsApp Manager and ask for review.",
    ),
    ErrorRule(error=Unavailable, codes=(131000,), wait_s=2.0, wait_factor=4.0),
    ErrorRule(error=Unavailable, codes=(131057,), reason="maintenance", wait_s=60.0),
    ErrorRule(error=Unavailable, codes=(133004, 133015), wait_s=300.0),
    ErrorRule(error=Unavailable, codes=(131016,), wait_s=30.0),
)

SPEC = ProviderSpec(
    key="whatsapp",
    label="WhatsApp",
    category=Category.COMMUNICATION,
    priority=Priority.CORE,
    docs_url="https://developers.facebook.com/documentation/business-messaging/whatsapp/",
    api_version=GRAPH_VERSION,
    auth=ApiKeyAuth(field="access_token"),
    credentials=_CREDENTIALS,
    settings=_SETTINGS,
    hosts={"graph": GRAPH_URL, "media": "https://lookaside.fbsbx.com"},
    default_role="graph",
    deadlines={"upload_media": TRANSFER_S, "download_media": TRANSFER_S},
    limits=_LIMITS,
    webhook=WebhookSpec(
        signature="hmac_sha256_body",
        signature_header=SIGNATURE_HEADER,
        secret_field="app_secret",  # noqa: S106  the name of a field
        challenge_field="verify_token",
        events=tuple(kind.value for kind in EventType),
        routing_key="metadata.phone_number_id, else entry[].id (the account)",
        event_key="messages[].id; statuses[].id with status; a digest where Meta gives no id",
        response_time_s=1.0,
    ),
    errors=(*_SENDING_ERRORS, *_LIMIT_ERRORS, *_ACCOUNT_ERRORS, *GRAPH_ERRORS),
    health=HealthSpec(period_s=HOUR_S, cost=0),
    usage=(
        UsageUnit(name="messages_out", label="Messages sent"),
        UsageUnit(name="messages_in", label="Messages received"),
        UsageUnit(name="media_bytes", label="Bytes of files moved"),
    ),
    compliance=("LGPD", "GDPR"),
    data=(
        DataFlow(
            data="phone number, user id, profile name, messages and files",
            subjects="the organization's customers who write or are written to",
            purpose="to exchange messages with customers",
            country="United States",
            mechanism="standard contractual clauses (Res. CD/ANPD 19/2024)",
        ),
    ),
)
"""
One check makes four or five free calls; once an hour leaves room in the 200 calls an hour that Meta gives a young
account, and is how often its health_status changes.
"""
