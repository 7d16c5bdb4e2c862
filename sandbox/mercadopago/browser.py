"""What a payer's browser loads of the vendor: the script, and the frames in which a card's data are typed."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup
from werkzeug.wrappers import Request, Response

from sandbox.frame import Refused, Route
from sandbox.pages import STATIC
from sandbox.texts import language_of

# name of a field: (English, Brazilian Portuguese, autocomplete, most characters)
FIELDS: dict[str, tuple[str, str, str, int]] = {
    "cardNumber": ("Card number", "Número do cartão", "cc-number", 23),
    "expirationDate": ("Expiry date", "Validade", "cc-exp", 7),
    "securityCode": ("Security code", "Código de segurança", "cc-csc", 4),
}
FRAME = Markup(
    '<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{label}</title>'
    '<link rel="stylesheet" href="/static/card-field.css"></head><body>'
    '<input id="field" data-name="{name}" aria-label="{label}" placeholder="{placeholder}" inputmode="numeric"'
    ' autocomplete="{autocomplete}" maxlength="{most}"><script src="/static/card-field.js"></script></body></html>'
)
# Any page may hold these frames, as at the vendor; they call the stand-in alone.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Browser:
    """The handlers; the script of the stand-in has the part of the vendor's that a page with secure fields uses."""

    def routes(self) -> Sequence[Route]:
        """Return the script and its frames, which need no key."""
        return (
            Route("GET", "/js/v2", self.script),
            Route("GET", "/secure-fields/{name}", self.frame),
        )

    def script(self, request: Request) -> Response:
        """Return the script."""
        code = (STATIC / "mercadopago-sdk.js").read_bytes()
        return Response(code, mimetype="text/javascript", headers={"Cache-Control": "no-store"})

    def frame(self, request: Request, name: str) -> Response:
        """Return the page of one field."""
        if name not in FIELDS:
            raise Refused(404, {"message": "no such field", "status": 404})
        english, portuguese, autocomplete, most = FIELDS[name]
        language = language_of(request)
        page = FRAME.format(
            language=language, label=portuguese if language == "pt-BR" else english, name=name,
            placeholder=request.args.get("placeholder", ""), autocomplete=autocomplete, most=most,
        )  # fmt: skip
        return Response(page, mimetype="text/html", headers=HEADERS)
