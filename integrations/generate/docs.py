"""The page of a provider under docs/providers, from its spec alone; `manage.py document_providers` writes it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from integrations import registry
from integrations.contract import ErrorRule, Field, Provider, ProviderSpec, RateLimit, WebhookSpec
from integrations.generate.catalogue import describe

HEADER = "<!-- Written by `manage.py document_providers` from the spec. Change the spec, not this page. -->"


def pages() -> dict[str, str]:
    """Return the text of every page by file name."""
    return {f"{key}.md": page(provider) for key, provider in registry.providers().items()}


def stale_pages(folder: Path) -> dict[str, str | None]:
    """Return what would change in a folder: new texts by file name, None for pages of providers that are gone."""
    wanted = pages()
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    stale: dict[str, str | None] = {name: text for name, text in wanted.items() if found.get(name) != text}
    return {**stale, **dict.fromkeys(set(found) - set(wanted))}


def page(provider: type[Provider]) -> str:
    """Return the page of one provider."""
    spec = provider.spec
    sections = [
        [f"# {spec.label}", "", HEADER],
        _facts(provider),
        _connect(spec),
        _fields("Credentials", "Sealed when stored, never shown again.", spec.credentials),
        _fields("Settings", "Kept in plain text and shown.", spec.settings),
        _webhooks(spec),
        _limits(spec.limits),
        _errors(spec.errors),
        _usage(spec),
        _data(spec),
    ]
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


def _facts(provider: type[Provider]) -> list[str]:
    facts = describe(provider)
    period_min = provider.spec.health.period_s / 60
    return _table(
        ("Fact", "Value"),
        [
            ("Key", f"`{facts['key']}`"),
            ("Category", facts["category"]),
            ("API version", facts["api_version"]),
            ("Authentication", facts["auth"]),
            ("Capabilities", ", ".join(f"`{name}`" for name in facts["capabilities"]) or "none"),
            ("Health check", f"every {period_min:g} minutes"),
            ("Vendor's documentation", facts["docs_url"]),
        ],
    )


def _connect(spec: ProviderSpec) -> list[str]:
    body = {
        "provider": spec.key,
        "name": spec.label,
        "environment": "test",
        "credentials": _examples([item for item in spec.credentials if item.required] or spec.credentials[:1]),
        "settings": _examples([item for item in spec.settings if item.required]),
    }
    text = json.dumps(body, indent=2, ensure_ascii=False)
    return ["## Connect", "", "`POST /api/v1/integrations/` with:", "", "```json", text, "```"]


def _examples(fields: Sequence[Field]) -> dict[str, str]:
    return {item.name: item.example or "…" for item in fields}


def _fields(title: str, about: str, fields: Sequence[Field]) -> list[str]:
    if not fields:
        return []
    rows = [
        (f"`{item.name}`", item.label, str(item.kind), _need(item), item.help, _code(item.pattern), _choices(item))
        for item in fields
    ]
    head = ("Field", "Label", "Kind", "Needed", "Help", "Form", "Choices")
    return [f"## {title}", "", about, "", *_table(head, rows)]


def _need(item: Field) -> str:
    if item.found_by_check:
        return "found by the live check"
    if item.default:
        return f"default `{item.default}`"
    return "yes" if item.required else "no"


def _choices(item: Field) -> str:
    return ", ".join(_code(value) for value, _label in item.choices)


def _webhooks(spec: ProviderSpec) -> list[str]:
    webhook = spec.webhook
    if webhook is None:
        return []
    return [
        "## Webhooks",
        "",
        f"{_signing(webhook)} Answered within {webhook.response_time_s:g} s.",
        "",
        f"- Whose it is: {webhook.routing_key}",
        f"- What makes an event one: {webhook.event_key}",
        "",
        "Events:",
        "",
        *(f"- `{event}`" for event in webhook.events),
    ]


def _signing(webhook: WebhookSpec) -> str:
    if not webhook.signature:
        return "Nobody signs them: what happened is read from the vendor before it counts."
    signed = f"Signed by `{webhook.signature}` in `{webhook.signature_header}` with `{webhook.secret_field}`."
    return signed if webhook.signs_body else f"{signed} The body is not: what happened is read from the vendor."


def _limits(limits: Sequence[RateLimit]) -> list[str]:
    if not limits:
        return []
    rows = [
        (str(limit.scope), f"{limit.count} in {limit.per_s:g} s", str(limit.burst or ""), ", ".join(limit.operations))
        for limit in limits
    ]
    return ["## Limits of the vendor", "", *_table(("By", "Calls", "Burst", "Operations"), rows)]


def _errors(rules: Sequence[ErrorRule]) -> list[str]:
    if not rules:
        return []
    rows = [
        (
            _when(rule),
            rule.error.__name__,
            f"`{rule.error.api_code}`",
            str(rule.error.who),
            rule.remedy or _remedy(rule),
        )
        for rule in rules
    ]
    head = ("When", "Error", "Code", "Who acts", "What to do")
    return ["## Errors", "", "The first line that fits decides.", "", *_table(head, rows)]


def _remedy(rule: ErrorRule) -> str:
    return rule.error.next_action


def _when(rule: ErrorRule) -> str:
    parts = {
        "status": rule.statuses,
        "code": rule.codes,
        "subcode": rule.subcodes,
        "exception": rule.exceptions,
    }
    return "; ".join(f"{name} {', '.join(map(_span, values))}" for name, values in parts.items() if values)


def _span(value: Any) -> str:
    return f"{value.start}..{value.stop - 1}" if isinstance(value, range) else str(value)


def _usage(spec: ProviderSpec) -> list[str]:
    if not spec.usage:
        return []
    return ["## Counted", "", *(f"- `{unit.name}`: {unit.label}" for unit in spec.usage)]


def _data(spec: ProviderSpec) -> list[str]:
    if not spec.data:
        return []
    rows = [(flow.data, flow.subjects, flow.purpose, flow.country, flow.mechanism) for flow in spec.data]
    head = ("Data", "Whose", "Why", "Country", "Transfer mechanism (LGPD)")
    return ["## Personal data that goes to the vendor", "", *_table(head, rows)]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return lines + [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]


def _code(text: str) -> str:
    return f"`{text}`" if text else ""
