"""Make the demo and say what to try."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config.demo import build

BANNER = """
  Integrations Registry is running: {url}

  Staff login     {url}/admin/        {email}   {password}
  Organization    {url}/o/{slug}/admin/   (the same login)
  API key         {key}

  Try next:
  1. Be a customer. Open {sandbox}/phone/whatsapp/{phone}/ and write a message;
     it arrives in {url}/o/{slug}/admin/ under Conversations. Answer there.
  2. Answer by API:
     curl {url}/api/v1/channels/messages/ -H "Authorization: Bearer {key}" \\
       -H "Content-Type: application/json" \\
       -d '{{"integration": "{integration}", "to": "+{customer}", "type": "text", "text": {{"body": "Olá!"}}}}'
  3. Get paid. Open {url}/o/{slug}/admin/billing/payment/{payment}/change/ in one window
     and pay that PIX as the customer in another: {sandbox}/phone/mercadopago/
  4. Mend what is broken. Stripe of this organization fails on purpose: its key was revoked. Open
     {url}/o/{slug}/admin/, read the issue, press Reconnect and give it the key
     {mends_stripe}
     In {sandbox}/ you can break more: let WhatsApp answer 500 and press Test.

  Browse the API: {url}/api/docs/     Stop: Ctrl-C (the data stays)
"""


class Command(BaseCommand):
    """`manage.py demo`: two organizations connected to the sandbox. Safe to repeat."""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        """Build and print; a refusal outside the sandbox protects real installations."""
        if not settings.SANDBOX:
            raise CommandError("The demo needs the sandbox: set SANDBOX=1 (make run does).")
        demo = build.build()
        first = demo.organizations[0]
        self.stdout.write(
            BANNER.format(
                url=settings.PUBLIC_URL,
                sandbox=settings.SANDBOX_URL,
                email=build.STAFF_EMAIL,
                password=demo.staff_password,
                slug=first["slug"],
                key=first["api_key"],
                phone=first["phone_number_id"],
                integration=first["integration"],
                mends_stripe=first["mends_stripe"],
                payment=first["payment"],
                customer=build.CUSTOMERS.get(first["slug"], build.NOBODY)[0],
            )
        )
