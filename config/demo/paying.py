"""A PIX charge that waits to be paid, so that a newcomer pays it as the customer and watches it turn to paid."""

from __future__ import annotations

from audit.services import Actor
from billing.contract import Payer
from billing.models import Origin, Payment
from billing.services import create_payment
from config.demo.sandbox_api import SandboxControl
from integrations.models import Integration
from integrations.services.connect import connect

PROVIDER = "mercadopago"
NAME = "MercadoPago"
AMOUNT_MINOR = 2400
DESCRIPTION = "Uma dúzia de pão de queijo"
PAYER = Payer(email="ana.souza@example.com", name="Ana Souza", tax_id="12345678909")
LIVES_S = 7 * 24 * 3600


def show_charge(control: SandboxControl, *, actor: Actor) -> Payment:
    """Connect MercadoPago and make one charge; who started before finds theirs."""
    integration = Integration.objects.connected().filter(provider=PROVIDER).first() or _connected(control, actor)
    made = Payment.objects.filter(integration=integration, description=DESCRIPTION).order_by("created_at").last()
    return made or create_payment(
        integration,
        amount_minor=AMOUNT_MINOR,
        currency="BRL",
        method="pix",
        payer=PAYER,
        description=DESCRIPTION,
        expires_in_s=LIVES_S,
        origin=Origin.ADMIN,
        actor=actor,
    )


def _connected(control: SandboxControl, actor: Actor) -> Integration:
    seller = control.mercadopago_seller()
    return connect(
        provider=PROVIDER,
        name=NAME,
        environment="test",
        credentials=seller.credentials,
        settings=seller.settings,
        actor=actor,
    )
