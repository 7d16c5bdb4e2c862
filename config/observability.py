"""The platform's own error reports, to the Sentry project of SENTRY_DSN. Without a DSN nothing is loaded."""

from __future__ import annotations

from typing import Any

from core.redaction import redact


def start(*, dsn: str, environment: str) -> None:
    """Report errors that need a code change; bodies, locals and anything that looks like a key stay here."""
    if not dsn:
        return
    import sentry_sdk

    sentry_sdk.init(
        dsn=dsn,
        environment=environment,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        before_send=_cleaned,
        before_breadcrumb=lambda crumb, hint: redact(crumb),
    )


def _cleaned(event: Any, hint: Any) -> Any:
    return redact(event)
