"""The page that looks like a customer's phone."""

from __future__ import annotations

import json
from collections.abc import Sequence

from markupsafe import Markup
from werkzeug.wrappers import Request, Response

from sandbox.frame import Refused, Route
from sandbox.pages import html_page, other_language
from sandbox.texts import language_of, texts_of
from sandbox.whatsapp.media import Media
from sandbox.whatsapp.state import State

# Shown within the page; everything else is handed out as a download.
SHOWN_TYPES = ("image/", "audio/", "video/")
ATTACHABLE = ("image", "audio", "video", "document", "sticker", "location", "contacts")
LIST = Markup(
    '<main class="wide"><p class="language">'
    '<a href="?lang={other}" hreflang="{other}" lang="{other}">{language}</a></p>'
    '<h1>WhatsApp</h1><p>{choose_business}</p><ul class="cards">{items}</ul></main>'
)
ITEM = Markup('<li><a href="/phone/whatsapp/{id}/?lang={lang}"><strong>{name}</strong><br>{number}</a></li>')
PHONE = Markup(
    '<main id="phone" class="phone" data-number="{id}" data-texts="{data}">'
    '<header class="bar"><a class="back" href="/phone/whatsapp/?lang={lang}" aria-label="{back}">&#8249;</a>'
    '<div><h1>{business}</h1><p id="presence" aria-live="polite">{display}</p></div>'
    '<a class="language" href="?lang={other}" hreflang="{other}" lang="{other}">{language}</a></header>'
    '<details id="who" open><summary>{customer}: <span id="who-name"></span></summary>'
    '<label>{known_customers}<select id="known"><option value=""></option></select></label>'
    '<form id="customer-form"><label>{number}<input name="number" inputmode="tel" autocomplete="off" required'
    ' placeholder="+55 11 95550-7788"></label><label>{name}<input name="name" autocomplete="off"></label>'
    '<button type="submit">{open_chat}</button></form></details>'
    '<ol id="messages" class="messages" aria-label="{conversation}" aria-live="polite" tabindex="0"></ol>'
    '<p id="problem" role="alert"></p>'
    '<form id="composer" class="composer"><details class="attach"><summary aria-label="{attach}">+</summary>'
    '<div class="menu">{attachments}</div></details><label class="hidden" for="text">{message}</label>'
    '<input id="text" name="text" autocomplete="off" placeholder="{message}" maxlength="4096">'
    '<button type="submit">{send}</button></form></main>'
)


class PhonePage:
    """The handlers under /phone/whatsapp."""

    def __init__(self, state: State, *, media: Media) -> None:
        self._state = state
        self._media = media

    def routes(self) -> Sequence[Route]:
        """Return the routes."""
        return (
            Route("GET", "/", self.list_businesses),
            Route("GET", "/media/{media_id}", self.show_media),
            Route("GET", "/{phone_number_id}/", self.show_phone),
        )

    def list_businesses(self, request: Request) -> Response:
        """Show the businesses a customer may write to."""
        language = language_of(request)
        texts = texts_of(language)
        items = Markup("").join(
            ITEM.format(
                id=phone["id"], name=phone["verified_name"], number=phone["display_phone_number"], lang=language
            )
            for phone in self._state.phones.all()
        )
        content = LIST.format(**texts, other=other_language(request), items=items)
        return html_page(request, title="WhatsApp", content=content, script="index.js")

    def show_phone(self, request: Request, phone_number_id: str) -> Response:
        """Show the phone of a customer in the chat with one business."""
        phone = self._state.phones.get(phone_number_id)
        if phone is None:
            raise Refused(404, {"error": "no such number"})
        language = language_of(request)
        texts = texts_of(language)
        attachments = Markup("").join(
            Markup('<button type="button" data-kind="{}">{}</button>').format(kind, texts[kind]) for kind in ATTACHABLE
        )
        content = PHONE.format(
            **texts, id=phone["id"], lang=language, other=other_language(request), business=phone["verified_name"],
            display=phone["display_phone_number"], data=json.dumps(texts), attachments=attachments,
        )  # fmt: skip
        return html_page(request, title=phone["verified_name"], content=content, script="phone.js")

    def show_media(self, request: Request, media_id: str) -> Response:
        """Show a file on the phone; what the page does not show itself comes as a download."""
        media = self._media.find(media_id)
        if media is None:
            raise Refused(404, {"error": "no such file"})
        response = self._media.serve(media)
        if not media["mime_type"].startswith(SHOWN_TYPES):
            response.headers["Content-Disposition"] = f'attachment; filename="{media_id}"'
        response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
        return response
