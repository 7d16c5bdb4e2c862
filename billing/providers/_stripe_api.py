"""Calls of Stripe's API with the key of one integration: its own, or the platform's for a connected account."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from billing.providers._stripe_answers import Answer
from billing.providers._stripe_json import account_id
from core.ids import new_token
from core.secret import Secret
from integrations.contract import IntegrationContext, Misconfigured, NotFound, Outbound, UnexpectedResponse

if TYPE_CHECKING:
    from stripe import RequestOptions, StripeClient

Ask = Callable[["StripeClient", "RequestOptions"], object]
"""Asks the SDK; what it returns is not looked at, the answer is read at the door."""

AskPage = Callable[["StripeClient", Any, "RequestOptions"], object]
"""Asks the SDK for one page of a list with the parameters given."""

PAGE = 100
"""The longest page that Stripe lists."""

MOST_PAGES = 1000
"""100 000 rows: more than an account has in the times that are listed here; ends a paging that circles."""

KEY = re.compile(r"[sr]k_(test|live)_\S+")
_ID = re.compile(r"[A-Za-z0-9_]{1,255}")

# What the SDK may raise while it wraps an answer of a shape that nobody documented.
_UNREADABLE = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError)


class StripeApi:
    """What every verb needs: the key, the account, and calls that answer with a JSON object."""

    def __init__(self, integration: IntegrationContext, outbound: Outbound) -> None:
        self.integration = integration
        self.outbound = outbound

    @property
    def account(self) -> str:
        """The connected account, written by our own Connect flow alone; empty with an own key."""
        return str(self.integration.settings.get("account_id") or "")

    @property
    def key(self) -> Secret:
        """
        The key that calls are made with.

        :raises Misconfigured: there is none
        """
        name = "platform_key" if self.account else "secret_key"
        key = self.integration.secrets.get(name)
        if key is None or not KEY.fullmatch(key.reveal()):
            raise Misconfigured(
                f"no {name}", field="secret_key", next_action="Give a secret or restricted key, or connect anew."
            )
        if self.account and not account_id(self.account):
            raise Misconfigured("account_id is no account's id", next_action="Connect the account anew.")
        return key

    @property
    def environment(self) -> str:
        """The environment that the key works in: "test" or "live"."""
        return environment_of(self.key)

    def call(self, operation: str, ask: Ask, *, idempotency_key: str = "") -> Answer:
        """
        Make one call.

        :param operation: the verb's name; selects deadline and limits, and labels the call
        :raises ProviderError: by the spec's rules
        """
        return call(self.outbound, operation, ask, key=self.key, account=self.account, idempotency_key=idempotency_key)

    def pages(
        self, operation: str, ask: AskPage, params: Mapping[str, Any]
    ) -> Iterator[tuple[Answer, Mapping[str, Any]]]:
        """
        Yield the rows of a list, page after page, each with the answer that held it.

        Shape: {data: [row], has_more}; the next page begins after the last id of the one before.

        :raises UnexpectedResponse: a page is no list of objects
        """
        after: dict[str, str] = {}
        for _ in range(MOST_PAGES):
            asked = {**params, "limit": PAGE, **after}
            answer = self.call(operation, lambda client, options, asked=asked: ask(client, asked, options))  # type: ignore[misc]
            page = answer.body.get("data")
            if not isinstance(page, list) or not all(isinstance(row, dict) for row in page):
                raise UnexpectedResponse("the answer is no list of objects")
            yield from ((answer, row) for row in page)
            last = page[-1].get("id") if page else None
            if (
                answer.body.get("has_more") is not True
                or not isinstance(last, str)
                or last == after.get("starting_after")
            ):
                return
            after = {"starting_after": last}


def call(
    outbound: Outbound, operation: str, ask: Ask, *, key: Secret, account: str = "", idempotency_key: str = ""
) -> Answer:
    """
    Make one call with any key: the platform's, where there is no integration yet.

    Without an idempotency key of the caller's the call gets one of its own; only POSTs of no lasting effect do that.
    """
    from billing.providers._stripe_sdk import Door, make_client

    door = Door(outbound, operation=operation, key=key, role="connect" if operation in ON_CONNECT else "api")
    client = make_client(outbound, door, key=key, account=account)
    options: RequestOptions = {"idempotency_key": idempotency_key} if idempotency_key else {}
    try:
        ask(client, options)
    except _UNREADABLE as error:
        raise UnexpectedResponse(f"the SDK cannot read the answer: {type(error).__name__}") from None
    if door.answer is None:
        raise UnexpectedResponse("the SDK made no call")
    return door.answer


ON_CONNECT = frozenset({"exchange_code"})
"""Operations on connect.stripe.com; all others are on api.stripe.com."""


def environment_of(key: Secret) -> str:
    """Read the environment out of a key; the prefix decides, no switch does."""
    return key.reveal().split("_")[1]


def known_id(external_id: str) -> str:
    """
    Return an id that may stand in a path.

    :raises NotFound: no object of Stripe's is called so; nothing is asked
    """
    if not _ID.fullmatch(external_id):
        raise NotFound("not an id of Stripe's")
    return external_id


def once() -> str:
    """Make an idempotency key for a call that shall have its effect each time it is made."""
    return f"once-{new_token(size_bytes=18)}"
