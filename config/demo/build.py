"""Building the demo: organizations, people, keys, a connected WhatsApp each, a short conversation. Safe to repeat."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from django.conf import settings
from django.utils.text import slugify

from accounts.models import User
from accounts.roles import ALL_SCOPES, Role
from accounts.services import add_member, create_api_key, find_api_key
from audit.services import Actor
from channels_app.models import Conversation, Message
from channels_app.services import send_message
from config.demo import failing, paying
from config.demo.sandbox_api import SandboxAccount, SandboxControl
from core.ids import new_token
from dispatch.inbox import open_app_secrets
from dispatch.models import OAuthApp
from integrations.models import Integration
from integrations.services.connect import connect
from integrations.services.credentials import Purpose, open_for
from integrations.services.oauth_apps import keep_platform_app
from integrations.services.webhooks import follow_public_url
from tenants.context import in_organization
from tenants.models import Organization
from tenants.services import build_organization, create_organization

STAFF_EMAIL = "staff@example.com"
ACTOR = Actor.system("demo")
ARRIVES_WITHIN_S = 45.0

CUSTOMERS = {
    "padaria-aurora": ("5511955501477", "Ana Souza", "Bom dia! Vocês têm pão de queijo hoje?"),
    "harbor-bikes": ("15550101477", "Sam Taylor", "Hi! Is the blue touring bike still available?"),
}
ANSWERS = {
    "padaria-aurora": (
        "Bom dia, Ana! Sai uma fornada às 10h. Quer que a gente separe?",
        "Quero sim, uma dúzia, por favor 🙂",
    ),
    "harbor-bikes": ("Hi Sam! Yes, it is. Would you like to try it on Saturday?", "Saturday at eleven would be great."),
}
NOBODY = ("15550101499", "Kim Lee", "Hello!")


@dataclass(slots=True)
class Demo:
    """What the demo made; kept in the data folder so that a second start prints the same."""

    staff_password: str
    organizations: list[dict[str, str]]


def build() -> Demo:
    """Make what is missing and return all of it."""
    kept = _read()
    password = kept.get("staff_password") or secrets.token_urlsafe(12)
    staff = User.objects.filter(email=STAFF_EMAIL).first()
    if staff is None:
        staff = User.objects.create_superuser(STAFF_EMAIL, password, name="Demo Staff", locale="en")
    control = SandboxControl(settings.SANDBOX_URL)
    _platform_app(control)
    known = {entry["slug"]: entry for entry in kept.get("organizations", [])}
    made = [_organization(account, staff, control, known) for account in control.whatsapp_accounts()[:2]]
    with in_organization(Organization.objects.get(slug=made[0]["slug"])):
        made[0]["mends_stripe"] = failing.show_failure(control, actor=ACTOR)
        made[0]["payment"] = str(paying.show_charge(control, actor=ACTOR).pk)
    demo = Demo(password, made)
    _write(demo)
    return demo


def path() -> Path:
    """Return where the demo's facts are kept; readable by this user alone."""
    return Path(settings.DATA_DIR) / "demo.json"


def _platform_app(control: SandboxControl) -> None:
    """Give the platform its own Meta app, with the shared webhook set as in the App Dashboard."""
    client_id, secret = control.platform_app()
    existing = OAuthApp.objects.filter(provider="whatsapp", organization_schema=None, client_id=client_id).first()
    if existing:
        _answers(control, client_id, open_app_secrets(existing)["verify_token"].reveal())
        return
    verify_token = new_token()
    keep_platform_app(
        provider="whatsapp",
        client_id=client_id,
        secrets={"app_secret": secret, "verify_token": verify_token},
        actor=ACTOR,
        label="Meta app of the platform",
    )
    _wait("the platform's app to be read", lambda: _answers(control, client_id, verify_token))


def _answers(control: SandboxControl, app_id: str, verify_token: str) -> bool:
    try:
        control.set_app_webhook(
            app_id=app_id, url=f"{settings.PUBLIC_URL}/webhooks/whatsapp/", verify_token=verify_token
        )
    except requests.HTTPError:
        return False  # the web process reads its list of apps anew within half a minute
    return True


def _organization(
    account: SandboxAccount, staff: User, control: SandboxControl, known: dict[str, dict[str, str]]
) -> dict[str, str]:
    slug = slugify(account.name)
    organization = Organization.objects.filter(slug=slug).first()
    if organization is None:
        organization = create_organization(slug=slug, name=account.name)
    if not organization.is_open:
        build_organization(organization)
    add_member(user=staff, schema_name=organization.schema_name, role=Role.OWNER)
    key = known.get(slug, {}).get("api_key", "")
    if find_api_key(f"Bearer {key}") is None:
        _row, key = create_api_key(
            schema_name=organization.schema_name,
            name="demo",
            scopes=[ALL_SCOPES],
            environment="test",
            created_by="demo",
        )
    with in_organization(organization):
        integration = _connected(account, control)
        _conversation(integration, slug, control)
    return {"slug": slug, "name": account.name, "api_key": key, "integration": str(integration.id),
            "phone_number_id": account.phone_number_id}  # fmt: skip


def _connected(account: SandboxAccount, control: SandboxControl) -> Integration:
    existing = Integration.objects.connected().filter(account_external_id=account.phone_number_id).first()
    if existing:
        if follow_public_url(existing):  # started on another port than last time
            opened = open_for(existing, Purpose.CALL)
            _name_in_dashboard(control, account, existing, opened["verify_token"].reveal())
        return existing
    verify_token = new_token()
    integration = connect(
        provider="whatsapp",
        name=f"WhatsApp {account.name}",
        environment="test",
        credentials={**account.credentials, "verify_token": verify_token},
        settings=account.settings,
        actor=ACTOR,
    )
    _name_in_dashboard(control, account, integration, verify_token)
    return integration


def _name_in_dashboard(
    control: SandboxControl, account: SandboxAccount, integration: Integration, verify_token: str
) -> None:
    """Template and account events go to the app's own callback, which its owner names in the App Dashboard."""
    control.set_app_webhook(app_id=account.settings["app_id"], url=integration.webhook_url, verify_token=verify_token)


def _conversation(integration: Integration, slug: str, control: SandboxControl) -> None:
    if Message.objects.filter(integration=integration).exists():
        return
    _wait("the webhook to be registered", lambda: _registered(integration))
    phone, name, question = CUSTOMERS.get(slug, NOBODY)
    answer, thanks = ANSWERS.get(slug, ("Hello! How can we help?", "Just looking."))
    number = integration.account_external_id
    control.customer_writes(phone=phone, phone_number_id=number, name=name, text=question)
    _wait("the first message", lambda: _count(integration) == 1)
    conversation = Conversation.objects.select_related("contact").get(integration=integration)
    send_message(integration=integration, to=f"+{phone}", type="text", content={"body": answer}, actor=ACTOR)
    _wait("the answer to be delivered", lambda: _delivered(conversation))
    control.customer_reads(phone=phone, phone_number_id=number)
    control.customer_writes(phone=phone, phone_number_id=number, name=name, text=thanks)
    _wait("the second message", lambda: _count(integration) == 3)  # noqa: PLR2004


def _registered(integration: Integration) -> bool:
    integration.refresh_from_db()
    return integration.webhook_registered


def _count(integration: Integration) -> int:
    return Message.objects.filter(integration=integration).count()


def _delivered(conversation: Conversation) -> bool:
    return conversation.messages.filter(direction="outbound", status__in=["delivered", "read"]).exists()


def _wait(what: str, is_there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + ARRIVES_WITHIN_S
    while not is_there():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {ARRIVES_WITHIN_S:.0f} s for {what}; is the worker running?")
        time.sleep(0.1)


def _read() -> dict[str, Any]:
    return dict(json.loads(path().read_text())) if path().exists() else {}


def _write(demo: Demo) -> None:
    facts = {
        "url": settings.PUBLIC_URL,
        "sandbox_url": settings.SANDBOX_URL,
        "staff_email": STAFF_EMAIL,
        "staff_password": demo.staff_password,
        "organizations": demo.organizations,
    }
    path().touch(mode=0o600)
    path().write_text(json.dumps(facts, indent=1))
