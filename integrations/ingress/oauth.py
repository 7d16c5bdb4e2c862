"""
The pages of a vendor's login: consent, the way back, the choice of an account, the result.

They live on the public host, without session and login: a cookie of one run, set by the consent, is what binds them
to a browser. GET of the consent page changes nothing, so that a messenger's preview spends nothing. What the vendor's
redirect carries is read once and taken out of the request, so that no log or error report finds it there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language_from_request, gettext, override
from django.views import View

from core.errors import RegistryError
from dispatch.models import OAuthAttempt, OAuthStatus
from integrations import registry
from integrations.contract import ProviderError
from integrations.services import oauth
from integrations.services import oauth_attempts as attempts

LONGEST = 4000
"""Of one value in a redirect; codes and states of known vendors have a few hundred characters."""

SEE_OTHER = 303
VENDOR_REFUSED = 422
COOKIE_LIVES_S = int(attempts.LIVES.total_seconds())


class OAuthPage(View):
    """
    A page that is kept out of caches and shows what was refused as a page.

    Its address leaves by no referrer: SECURE_REFERRER_POLICY is same-origin. (`no-referrer` would make browsers send
    `Origin: null` with our own forms, which the CSRF check refuses.)
    """

    attempt: OAuthAttempt | None = None
    """The run, once it is found; the page of a refusal names it."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer, whatever is refused."""
        try:
            response = super().dispatch(request, *args, **kwargs)
        except (RegistryError, ProviderError) as error:
            response = _refused(request, error, self.attempt)
        response.headers["Cache-Control"] = "no-store"
        return response

    def find_own(self, request: HttpRequest, provider: str, attempt_id: UUID) -> OAuthAttempt:
        """Find a run by its id; the browser's cookie is what lets it in."""
        self.attempt = attempts.find_by_id(provider, attempt_id)
        attempts.refuse_unless_here(self.attempt, _browser(request, self.attempt))
        return self.attempt


class StartView(OAuthPage):
    """Say who wants to connect what, and ask once."""

    def get(self, request: HttpRequest, provider: str, token: str) -> HttpResponse:
        """Show the question; looking changes nothing."""
        attempt = self.attempt = attempts.find_by_start(provider, token)
        attempts.may_begin(attempt, _browser(request, attempt))
        attempt.language = _language(request, attempt)
        response: Any = _page(request, "ask", attempt, languages_here=True)
        # Browsers hold every hop of a form's answer against form-action; where a vendor's login leads is its own.
        response._csp_update = {"form-action": ["https:", oauth.dialog_origin(attempt)]}
        return cast(HttpResponse, response)

    def post(self, request: HttpRequest, provider: str, token: str) -> HttpResponse:
        """Tie the run to this browser and lead to the vendor."""
        attempt = self.attempt = attempts.find_by_start(provider, token)
        bound = oauth.open_dialog(attempt, browser=_browser(request, attempt), language=_language(request, attempt))
        response = HttpResponse(status=SEE_OTHER, headers={"Location": bound.address})
        _set_cookie(response, attempt, bound.browser)
        return response


class CallbackView(OAuthPage):
    """Take the browser back from the vendor."""

    def get(self, request: HttpRequest, provider: str) -> HttpResponse:
        """Connect the account, or ask which one; a browser that comes back reads a page without the code."""
        given = _taken_query(request)
        attempt = self.attempt = attempts.find_by_state(provider, given.get("state", ""))
        returned = oauth.Returned(code=given.get("code", ""), error=given.get("error", ""), issuer=given.get("iss", ""))
        done = oauth.finish(attempt, returned, state=given.get("state", ""), browser=_browser(request, attempt))
        return _onwards(done)


class AccountsView(OAuthPage):
    """Several accounts came back: which one?"""

    def get(self, request: HttpRequest, provider: str, attempt_id: UUID) -> HttpResponse:
        """List them."""
        attempt = self.find_own(request, provider, attempt_id)
        grant = attempts.open_grant(attempt, browser=_browser(request, attempt))
        return _page(request, "choose", attempt, accounts=grant.accounts)

    def post(self, request: HttpRequest, provider: str, attempt_id: UUID) -> HttpResponse:
        """Connect one."""
        attempt = self.find_own(request, provider, attempt_id)
        chosen = request.POST.get("account", "")
        return _onwards(oauth.choose(attempt, chosen, browser=_browser(request, attempt)))


class DoneView(OAuthPage):
    """What became of it, where no page of the organization's own was asked for."""

    def get(self, request: HttpRequest, provider: str, attempt_id: UUID) -> HttpResponse:
        """Say that the account is connected."""
        attempt = self.find_own(request, provider, attempt_id)
        if attempt.status != OAuthStatus.CONNECTED:
            raise attempts.AttemptSpent(attempts.SPENT)
        return _page(request, "done", attempt)


def _onwards(attempt: OAuthAttempt) -> HttpResponse:
    """Lead to a page whose address holds no code: the choice, the result, or the organization's own."""
    page = "oauth-accounts" if attempt.status == OAuthStatus.CHOOSING else "oauth-done"
    own = reverse(page, args=[attempt.provider, attempt.pk])
    response = HttpResponseRedirect(oauth.way_back(attempt) or own)
    response.status_code = SEE_OTHER
    return response


def _taken_query(request: HttpRequest) -> Mapping[str, str]:
    """
    Read the redirect's values and take them out of the request.

    :raises AttemptUnknown: a value comes twice or is longer than any vendor's
    """
    given = {name: values for name, values in request.GET.lists()}
    request.META["QUERY_STRING"] = ""
    request.GET = QueryDict()
    if any(len(values) != 1 or len(values[0]) > LONGEST for values in given.values()):
        raise attempts.AttemptUnknown(attempts.UNKNOWN)
    return {name: values[0] for name, values in given.items()}


def _cookie_name(attempt: OAuthAttempt) -> str:
    prefix = "__Host-" if settings.SESSION_COOKIE_SECURE else ""
    return f"{prefix}oauth-{attempt.pk.hex[-12:]}"


def _browser(request: HttpRequest, attempt: OAuthAttempt) -> str:
    return request.COOKIES.get(_cookie_name(attempt), "")


def _set_cookie(response: HttpResponse, attempt: OAuthAttempt, value: str) -> None:
    """Set the run's own cookie. Lax: it comes along when the vendor leads the browser back."""
    response.set_cookie(
        _cookie_name(attempt),
        value,
        max_age=COOKIE_LIVES_S,
        path="/",
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def _language(request: HttpRequest, attempt: OAuthAttempt) -> str:
    """Return the language that was asked for by a link of the page, else the run's, else the browser's."""
    asked = request.GET.get("language", "")
    return asked if asked in dict(settings.LANGUAGES) else attempt.language or get_language_from_request(request)


def _page(
    request: HttpRequest,
    name: str,
    attempt: OAuthAttempt | None,
    *,
    status: int = 200,
    error: RegistryError | ProviderError | None = None,
    **more: Any,
) -> HttpResponse:
    """Render a page in the run's language; of a run that is not the browser's, nothing is told."""
    with override((attempt.language if attempt else "") or get_language_from_request(request)):
        known: dict[str, Any] = {"attempt": attempt, "texts": _texts(error) if error else []}
        if attempt is not None:
            known["spec"] = registry.provider(attempt.provider).spec
            known["organization_name"] = attempts.organization_of(attempt).name
        return render(request, f"registry/oauth/{name}.html", {**known, **more}, status=status)


def _refused(request: HttpRequest, error: RegistryError | ProviderError, attempt: OAuthAttempt | None) -> HttpResponse:
    """Say what was refused and what to do; whose run it was, only its own browser is told."""
    if isinstance(error, attempts.OtherBrowser | attempts.AttemptUnknown):
        attempt = None
    status = error.status if isinstance(error, RegistryError) else VENDOR_REFUSED
    return _page(request, "refused", attempt, status=status, error=error)


def _texts(error: RegistryError | ProviderError) -> list[str]:
    """Say in the person's language what was refused and what to do."""
    if isinstance(error, ProviderError):
        advice = gettext(error.advice) if error.advice else ""
        return [text for text in (gettext(error.message), error.vendor_detail, advice) if text]
    fields = [gettext(text) for texts in error.errors.values() for text in texts]
    return list(dict.fromkeys([gettext(error.detail), *fields]))
