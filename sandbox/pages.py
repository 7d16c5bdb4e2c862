"""HTML pages without any foreign part: the index, the shell of all pages, and the static files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup, escape
from werkzeug.wrappers import Request, Response

from sandbox.faults import KINDS
from sandbox.frame import Refused, Route
from sandbox.texts import LANGUAGES, language_of, texts_of

if TYPE_CHECKING:
    from sandbox.application import Application

STATIC = Path(__file__).parent / "static"
STATIC_TYPES = {".css": "text/css", ".js": "text/javascript"}
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
SHELL = Markup(
    '<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>'
    '<link rel="stylesheet" href="/static/sandbox.css"></head><body>{content}'
    '<script src="/static/{script}" defer></script></body></html>'
)
INDEX = Markup(
    '<main class="wide"><p class="language">'
    '<a href="?lang={other}" hreflang="{other}" lang="{other}">{language}</a></p>'
    "<h1>{sandbox}</h1><p>{sandbox_lead}</p>"
    '<h2>{vendors}</h2><ul class="cards">{vendor_items}</ul>'
    "<h2>{faults}</h2><p>{faults_lead}</p>"
    '<form id="fault-form" class="stack"><label>{vendor}<select name="vendor">{vendor_options}</select></label>'
    '<label>{kind}<select name="kind">{kind_options}</select></label>'
    '<label>{times}<input name="times" type="number" min="1" value="1" required></label>'
    '<label>{operation}<input name="operation" autocomplete="off"></label>'
    '<p><button type="submit">{plan}</button> <button type="button" id="heal" class="quiet">{heal}</button></p></form>'
    '<h3 id="planned-title">{planned}</h3>'
    '<ul id="planned" aria-labelledby="planned-title" aria-live="polite" data-none="{none_planned}"></ul></main>'
)


def page_routes(application: Application) -> Sequence[Route]:
    """Return the routes of the frame's own pages."""

    def index(request: Request) -> Response:
        """Show the vendors, their phones and the faults."""
        return index_page(request, application)

    return (
        Route("GET", "/", index),
        Route("GET", "/static/{name}", static_file),
        Route("GET", "/favicon.ico", no_icon),
    )


def html_page(request: Request, *, title: str, content: Markup, script: str) -> Response:
    """Return a whole page in the request's language."""
    page = SHELL.format(language=language_of(request), title=title, content=content, script=script)
    return Response(page, mimetype="text/html", headers=SECURITY_HEADERS)


def index_page(request: Request, application: Application) -> Response:
    """Return the index."""
    texts = texts_of(language_of(request))
    items = Markup("").join(
        Markup("<li><h3>{}</h3><p>{}: <code>{}/{}</code></p>{}</li>").format(
            vendor.label,
            texts["base_address"],
            application.frame.base_url,
            key,
            _phone_link(key, vendor.phone_page, texts),
        )
        for key, vendor in sorted(application.vendors.items())
    )
    content = INDEX.format(
        **texts, other=other_language(request), vendor_items=items,
        vendor_options=options(sorted(application.vendors)), kind_options=options(list(KINDS)),
    )  # fmt: skip
    return html_page(request, title=texts["sandbox"], content=content, script="index.js")


def options(names: Sequence[str]) -> Markup:
    """Return the options of a select."""
    return Markup("").join(Markup("<option>{}</option>").format(name) for name in names)


def other_language(request: Request) -> str:
    """Return the language that the page is not in."""
    return next(language for language in LANGUAGES if language != language_of(request))


def no_icon(request: Request) -> Response:
    """Tell browsers that there is no icon."""
    return Response(status=204)


def static_file(request: Request, name: str) -> Response:
    """Return a file of the folder `static`, and nothing else."""
    path = STATIC / name
    if path.parent != STATIC or path.suffix not in STATIC_TYPES or not path.is_file():
        raise Refused(404, {"error": "no such file"})
    return Response(path.read_bytes(), mimetype=STATIC_TYPES[path.suffix], headers=SECURITY_HEADERS)


def _phone_link(key: str, has_phone: bool, texts: dict[str, str]) -> Markup:
    if not has_phone:
        return Markup("")
    return Markup('<p><a href="/phone/{}/">{}</a></p>').format(key, escape(texts["open_phone"]))
