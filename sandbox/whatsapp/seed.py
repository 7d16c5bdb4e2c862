"""The first data: a platform's app and two businesses with an app, account, number, token and templates each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sandbox.store import Document
from sandbox.whatsapp.state import SCOPES, State
from sandbox.whatsapp.templates import Templates
from sandbox.whatsapp.webhooks import FIELDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Business:
    """One invented business."""

    name: str
    app_id: str
    business_id: str
    waba_id: str
    phone_number_id: str
    display_phone_number: str


PLATFORM_APP_ID = "731904415526083"
BUSINESSES = (
    Business(
        name="Padaria Aurora", app_id="418823097715604", business_id="365120884419277", waba_id="290417736508812",
        phone_number_id="518846230097155", display_phone_number="+55 11 5550-1201",
    ),
    Business(
        name="Harbor Bikes", app_id="602774519083346", business_id="377905126648031", waba_id="274630981157749",
        phone_number_id="539017742668120", display_phone_number="+1 555-010-1302",
    ),
)  # fmt: skip


def body(text: str, *example: str) -> Document:
    """Return a BODY component."""
    return {"type": "BODY", "text": text} | ({"example": {"body_text": [list(example)]}} if example else {})


def buttons(*texts: str) -> Document:
    """Return a component of quick replies."""
    return {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": text} for text in texts]}


def footer(text: str) -> Document:
    """Return a FOOTER component."""
    return {"type": "FOOTER", "text": text}


# (name, language, category, components)
TEMPLATES: tuple[tuple[str, str, str, list[Document]], ...] = (
    ("order_update", "pt_BR", "UTILITY", [
        body("Oi, {{1}}! Seu pedido {{2}} já está {{3}}.", "Ana", "A-1042", "a caminho"),
        footer("Responda esta mensagem se precisar de ajuda."),
    ]),
    ("order_update", "en", "UTILITY", [
        body("Hi {{1}}, your order {{2}} is now {{3}}.", "Ana", "A-1042", "on its way"),
        footer("Reply to this message if you need help."),
    ]),
    ("weekend_offer", "pt_BR", "MARKETING", [
        {"type": "HEADER", "format": "TEXT", "text": "Só neste fim de semana"},
        body("{{1}}, separamos 15% de desconto para você até domingo.", "Ana"),
        buttons("Quero ver", "Agora não"),
    ]),
    ("weekend_offer", "en", "MARKETING", [
        {"type": "HEADER", "format": "TEXT", "text": "This weekend only"},
        body("{{1}}, we kept 15% off for you until Sunday.", "Ana"),
        buttons("Show me", "Not now"),
    ]),
    ("hello", "pt_BR", "UTILITY", [body("Olá! Aqui é a nossa central de atendimento.")]),
    ("hello", "en", "UTILITY", [body("Hello! This is our support desk.")]),
    ("access_code", "en", "AUTHENTICATION", [
        {"type": "BODY", "text": "{{1}} is your verification code.", "add_security_recommendation": True},
    ]),
)  # fmt: skip


def seed(state: State, templates: Templates) -> None:
    """Write the first data; the same at every first start."""
    state.tokens.add_app(PLATFORM_APP_ID, secret=fake_secret("platform"), name="Platform (sandbox)")
    for business in BUSINESSES:
        state.tokens.add_app(business.app_id, secret=fake_secret(business.app_id), name=business.name)
        add_business(state, business)
        state.tokens.mint(
            app_id=business.app_id, scopes=SCOPES, targets=[business.waba_id], text=fake_token(business.app_id)
        )
        state.tokens.mint(
            app_id=PLATFORM_APP_ID, scopes=SCOPES, targets=[business.waba_id],
            text=fake_token(f"{PLATFORM_APP_ID}:{business.waba_id}"),
        )  # fmt: skip
        for name, language, category, components in TEMPLATES:
            templates.add(
                waba_id=business.waba_id, name=name, language=language, category=category, components=components,
                status="APPROVED",
            )  # fmt: skip


def add_business(state: State, business: Business) -> None:
    """Write an account and its one number down."""
    state.wabas.put(
        business.waba_id,
        {
            "id": business.waba_id, "name": business.name, "business_id": business.business_id, "subscriptions": {},
            "targets": [business.waba_id], "can_send": "AVAILABLE",
            "namespace": hashlib.sha256(business.waba_id.encode()).hexdigest()[:32],
        },
    )  # fmt: skip
    profile = {"about": "Hey there! I am using WhatsApp.", "vertical": "RETAIL", "websites": []}
    state.phones.put(
        business.phone_number_id,
        {
            "id": business.phone_number_id, "waba_id": business.waba_id, "targets": [business.waba_id],
            "display_phone_number": business.display_phone_number, "verified_name": business.name, "overrides": {},
            "quality_rating": "GREEN", "status": "CONNECTED", "name_status": "APPROVED", "throughput": "STANDARD",
            "tier": "TIER_250", "account_mode": "LIVE", "allowed_recipients": [], "pin": "", "registrations": [],
            "can_send": "AVAILABLE", "profile": profile,
        },
        owner=business.waba_id,
    )  # fmt: skip


def fake_secret(name: str) -> str:
    """Return an app secret of the right shape: 32 hex digits, the same at every start."""
    return hashlib.md5(f"sandbox test secret {name}".encode(), usedforsecurity=False).hexdigest()


def fake_token(name: str) -> str:
    """Return a token of the right shape, the same at every start."""
    return "EAAtest" + hashlib.sha256(f"sandbox test token {name}".encode()).hexdigest()


def all_fields() -> list[str]:
    """Return every webhook field, as a developer ticks them in the App Dashboard."""
    return sorted(FIELDS)
