"""Where Meta posts for one integration: the account's subscription and the number's own override."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from channels_app.providers._meta_json import obj, text
from channels_app.providers._whatsapp_api import PAGE, CloudApi
from channels_app.providers._whatsapp_messages import too_long
from integrations.contract import Misconfigured, RegisteredWebhook, RequestRejected, UnexpectedResponse, WebhookState

URL_LENGTH = 200


def register(api: CloudApi, url: str) -> RegisteredWebhook:
    """
    Make Meta post to `url`; it asks the URL for the challenge at once.

    The account has one override. When it has several numbers and the override serves another one, only this
    number's own override is set, which wins.
    """
    current = text((find_subscription(api) or {}).get("override_callback_uri"))
    if len(url) > URL_LENGTH:
        raise too_long("url", URL_LENGTH)
    is_shared = _has_several_numbers(api)
    if not (is_shared and current and current != url):
        subscribe(api, url=url)
    if is_shared or text(_configuration(api).get("phone_number")) not in ("", url):
        _override_number(api, url=url)
    return RegisteredWebhook(url=url, external_id=api.waba_id)


def unregister(api: CloudApi) -> None:
    """
    Stop Meta from posting to our URL; what points elsewhere is not ours and stays.

    The app's subscription ends with the account's last number here, which is when no other number needs it.
    """
    ours = api.integration.webhook_url
    if ours and text(_configuration(api).get("phone_number")) == ours:
        _override_number(api, url="")
    subscription = find_subscription(api)
    if subscription is None or text(subscription.get("override_callback_uri")) not in ("", ours):
        return
    if not _has_several_numbers(api):
        api.delete(f"/{api.waba_id}/subscribed_apps", operation="unsubscribe_app")
    elif text(subscription.get("override_callback_uri")):
        _subscribe(api, {})


def inspect(api: CloudApi) -> WebhookState:
    """
    Ask where Meta posts messages of this number: number's override, else the account's, else the app's URL.

    Only another URL contradicts a registration; an answer that names none does not.
    """
    subscription = find_subscription(api)
    if subscription is None:
        return WebhookState(registered=False, detail="The app is not subscribed to the account.")
    places = _configuration(api)
    in_order = (
        places.get("phone_number"),
        places.get("whatsapp_business_account"),
        subscription.get("override_callback_uri"),
        places.get("application"),
    )
    url = next((text(place) for place in in_order if text(place)), "")
    ours = api.integration.webhook_url
    if ours and url and url != ours:
        return WebhookState(registered=False, url=url, detail="Messages of this number go to another URL.")
    return WebhookState(registered=True, url=url)


def subscribe(api: CloudApi, *, url: str) -> None:
    """
    Subscribe the app to the account and make `url` the account's override.

    :raises Misconfigured: there is no verify_token
    :raises UnexpectedResponse: Meta did not say that it did
    """
    _subscribe(api, _override(api, url=url))


def subscribe_as_before(api: CloudApi) -> None:
    """
    Subscribe the app to the account, which only a token that controls the account may do, and change nothing else.

    An empty body removes the override, so one that is there is written again. It answers to another verify token
    where it is not ours; before the first connection it is given up, as the registration replaces it anyway.

    :raises ProviderError: Meta refuses
    """
    current = text((find_subscription(api) or {}).get("override_callback_uri"))
    if current and api.secret("verify_token"):
        try:
            subscribe(api, url=current)
        except RequestRejected:
            if api.integration.id:
                raise
        else:
            return
    _subscribe(api, {})


def find_subscription(api: CloudApi) -> Mapping[str, Any] | None:
    """Find our app among the account's subscribed apps; without an app id any will do."""
    for row in api.pages(f"/{api.waba_id}/subscribed_apps", operation="list_subscribed_apps", params={}):
        if not api.app_id or text(obj(row.get("whatsapp_business_api_data")).get("id")) == api.app_id:
            return row
    return None


def _subscribe(api: CloudApi, body: Mapping[str, str]) -> None:
    answer = api.post(f"/{api.waba_id}/subscribed_apps", body, operation="subscribe_app")
    if answer.get("success") is not True:
        raise UnexpectedResponse("subscribed_apps did not answer with success")


def _override_number(api: CloudApi, *, url: str) -> None:
    """Set the number's own override, or remove it with an empty URL."""
    configuration = _override(api, url=url) if url else {"override_callback_uri": ""}
    api.post(f"/{api.phone_number_id}", {"webhook_configuration": configuration}, operation="override_number_webhook")


def _override(api: CloudApi, *, url: str) -> dict[str, str]:
    token = api.secret("verify_token")
    if token is None:
        raise Misconfigured(
            "no verify_token to register with", field="verify_token", next_action="Give a verify_token."
        )
    return {"override_callback_uri": url, "verify_token": token.reveal()}


def _configuration(api: CloudApi) -> Mapping[str, Any]:
    answer = api.get(
        f"/{api.phone_number_id}", operation="read_webhook_configuration", params={"fields": "webhook_configuration"}
    )
    return obj(answer.get("webhook_configuration"))


def _has_several_numbers(api: CloudApi) -> bool:
    rows = api.pages(f"/{api.waba_id}/phone_numbers", operation="list_phone_numbers", params={"fields": "id", **PAGE})
    return any(text(row.get("id")) != api.phone_number_id for row in rows)
