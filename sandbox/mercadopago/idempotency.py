"""The header X-Idempotency-Key: obligatory where money moves; the same key gives the same answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

from werkzeug.wrappers import Request, Response

from sandbox.frame import json_answer
from sandbox.mercadopago.errors import cause, errors_form
from sandbox.mercadopago.reading import plain, read_body
from sandbox.mercadopago.state import Caller, State

MOST_CHARS = 64


def once(state: State, request: Request, *, caller: Caller, act: Callable[[], Response]) -> Response:
    """
    Do what the call asks, once per key of a seller; a refused call uses no key up.

    :raises Refused: the header is absent or too long (400), or was used with another body or address (409)
    """
    key = request.headers.get("X-Idempotency-Key", "")
    if not key.strip():
        raise cause(4292)
    if len(key) > MOST_CHARS:
        raise cause(1, f"Header X-Idempotency-Key must have 1 to {MOST_CHARS} characters")
    asked = json.dumps([request.method, request.path, plain(read_body(request))], sort_keys=True)
    digest = hashlib.sha256(asked.encode()).hexdigest()
    with state.frame.store.transaction():
        earlier = state.answers.get(f"{caller.seller_id}:{key}")
        if earlier is not None:
            if earlier["digest"] != digest:
                message = "The value sent as header is already in use. Please try again with another value."
                raise errors_form(409, "idempotency_key_already_used", message)
            return json_answer(earlier["body"], status=earlier["status"])
        response = act()
        told = {"digest": digest, "status": response.status_code, "body": json.loads(response.get_data())}
        state.answers.put(f"{caller.seller_id}:{key}", told)
        return response
