"""What Meta tells of an account and its templates, in normalized words: topic, effect and a sentence for people."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from channels_app.contract import AccountData, Effect, TemplateData
from channels_app.providers._meta_json import Change, items, moment, obj, text
from core import clock

TEMPLATE_FIELDS: Mapping[str, str] = {
    "message_template_status_update": "status",
    "message_template_quality_update": "quality",
    "message_template_components_update": "components",
    "template_category_update": "category",
}
"""`field` of a change -> what changed about the template."""

TEMPLATE_STATUSES: Mapping[str, str] = {"reinstated": "approved", "unpaused": "approved", "unarchived": "approved"}
"""Events that name a way back, and the status they lead to; every other event is a status in upper case."""

_NO_REASON = ("", "NONE")

_UPDATE_EFFECTS: Mapping[str, tuple[str, Effect, str]] = {
    "ACCOUNT_DELETED": ("existence", Effect.DISCONNECTED, "The WhatsApp Business Account was deleted at Meta."),
    "ACCOUNT_OFFBOARDED": ("partner", Effect.DISCONNECTED, "The number left the Cloud API at Meta."),
    "ACCOUNT_RECONNECTED": ("partner", Effect.RESTORED, "The number is back on the Cloud API."),
    "ACCOUNT_RESTRICTION": ("restriction", Effect.RESTRICTED, "Meta restricted this account."),
    "ACCOUNT_VIOLATION": ("violation", Effect.DEGRADED, "Meta reports a violation of its policies."),
    "PARTNER_ADDED": ("partner", Effect.NONE, "The account was shared with the app."),
    "PARTNER_APP_INSTALLED": ("partner", Effect.NONE, "The app was installed for the account."),
    "PARTNER_APP_UNINSTALLED": ("partner", Effect.DISCONNECTED, "The app was removed from the account at Meta."),
    "PARTNER_REMOVED": ("partner", Effect.DISCONNECTED, "The account is no longer shared with the app."),
    "VERIFIED_ACCOUNT": ("verification", Effect.RESTORED, "Meta verified the account."),
}
"""`event` of account_update -> (topic, effect, sentence). DISABLED_UPDATE is in `_BAN_EFFECTS`."""

_BAN_EFFECTS: Mapping[str, tuple[Effect, str]] = {
    "DISABLE": (Effect.RESTRICTED, "Meta disabled this account."),
    "SCHEDULE_FOR_DISABLE": (Effect.DEGRADED, "Meta is going to disable this account."),
    "REINSTATE": (Effect.RESTORED, "Meta enabled this account again."),
}

_DECISIONS: Mapping[str, Effect] = {
    "APPROVED": Effect.RESTORED,
    "REJECTED": Effect.DEGRADED,
    "DECLINED": Effect.DEGRADED,
}
"""`decision` of a review of an account or a display name -> effect; PENDING and others change nothing."""

_QUALITY_EFFECTS: Mapping[str, Effect] = {
    "FLAGGED": Effect.DEGRADED,
    "UNFLAGGED": Effect.RESTORED,
    "DOWNGRADE": Effect.DEGRADED,
    "UPGRADE": Effect.RESTORED,
    "THROUGHPUT_UPGRADE": Effect.NONE,
    "ONBOARDING": Effect.NONE,
}

_TIER_NAMES = (
    "max_daily_conversations_per_business",
    "max_daily_conversation_per_business",
    "max_daily_conversation_per_phone",
)
"""The messaging limit: a number in one sample of Meta, TIER_* in its texts, by phone until February 2026."""


UNLIMITED = "unlimited"
_UNLIMITED = frozenset({"TIER_UNLIMITED", "UNLIMITED", "-1"})
_TIER = re.compile(r"(?:TIER_)?([0-9]{1,9})(K?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    topic: str
    effect: Effect
    cause: str
    change: str = ""
    capabilities: tuple[str, ...] = ()
    until: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def read_account(change: Change) -> AccountData:
    """Describe what happened to an account; a value we cannot read has no effect and says so."""
    reading = ACCOUNT_FIELDS[change.field](change.value)
    return AccountData(
        topic=reading.topic,
        change=reading.change or change.field,
        effect=reading.effect.value,
        cause=reading.cause,
        account_id=change.account_key.removeprefix("waba:"),
        display_phone_number=text(change.value.get("display_phone_number") or change.value.get("phone_number")) or None,
        capabilities=reading.capabilities,
        until=reading.until,
        facts=reading.facts,
    )


def read_template(change: Change) -> TemplateData:
    """Describe what happened to a template."""
    value = change.value
    rejection = obj(value.get("rejection_info"))
    reason = text(value.get("reason"))
    status = text(value.get("event")).lower()
    return TemplateData(
        external_id=text(value.get("message_template_id")),
        name=text(value.get("message_template_name")),
        language=text(value.get("message_template_language")).replace("-", "_"),
        change=TEMPLATE_FIELDS[change.field],
        status=TEMPLATE_STATUSES.get(status, status) or None,
        quality=text(value.get("new_quality_score")).lower() or None,
        category=(text(value.get("new_category")) or text(value.get("message_template_category"))).lower() or None,
        reason=text(rejection.get("reason")) or ("" if reason in _NO_REASON else reason),
        recommendation=text(rejection.get("recommendation")),
        effective_at=text(obj(value.get("disable_info")).get("disable_date")),
    )


def _update(value: Mapping[str, Any]) -> _Reading:
    event = text(value.get("event"))
    if event == "DISABLED_UPDATE":
        return _ban(value)
    topic, effect, sentence = _UPDATE_EFFECTS.get(
        event, ("account", Effect.NONE, f"Meta reports {event or 'a change'}.")
    )
    restrictions = [obj(item) for item in items(value.get("restriction_info"))]
    details = [
        text(obj(value.get("violation_info")).get("violation_type")),
        text(obj(value.get("disconnection_info")).get("reason")),
        *(text(item.get("restriction_type")) for item in restrictions),
    ]
    told = ", ".join(detail for detail in details if detail)
    ends = [end for item in restrictions if (end := moment(item.get("expiration")))]
    return _Reading(
        topic=topic,
        effect=effect,
        cause=f"{sentence} ({told})" if told else sentence,
        change=event,
        capabilities=tuple(text(item.get("restriction_type")) for item in restrictions),
        until=clock.iso(max(ends)) if ends else None,
    )


def _ban(value: Mapping[str, Any]) -> _Reading:
    ban = obj(value.get("ban_info"))
    state = text(ban.get("waba_ban_state"))
    effect, sentence = _BAN_EFFECTS.get(state, (Effect.NONE, f"Meta reports the state {state or 'unknown'}."))
    day = text(ban.get("waba_ban_date"))
    return _Reading(
        topic="ban",
        effect=effect,
        cause=f"{sentence} ({day})" if day else sentence,
        change="DISABLED_UPDATE",
        facts={"ban_state": state.lower()},
    )


def _alert(value: Mapping[str, Any]) -> _Reading:
    """Only a critical alert says that something works worse; warnings and news are shown, not acted on."""
    alert = obj(value.get("alert_info")) or value
    severity, status = text(alert.get("alert_severity")), text(alert.get("alert_status"))
    effect = Effect.DEGRADED if severity == "CRITICAL" and status == "ACTIVE" else Effect.NONE
    kind = text(alert.get("alert_type"))
    return _Reading(
        topic=f"alert:{kind}",
        effect=Effect.RESTORED if status == "RESOLVED" else effect,
        cause=text(alert.get("alert_description")) or f"Meta reports {kind or 'an alert'}.",
        change=kind,
        facts={"severity": severity.lower(), "status": status.lower()},
    )


def _review(value: Mapping[str, Any]) -> _Reading:
    decision = text(value.get("decision"))
    return _Reading(
        topic="review",
        effect=_DECISIONS.get(decision, Effect.NONE),
        cause=f"Meta's review of the account: {decision.lower() or 'unknown'}.",
        facts={"decision": decision.lower()},
    )


def _name(value: Mapping[str, Any]) -> _Reading:
    decision, reason = text(value.get("decision")), text(value.get("rejection_reason"))
    sentence = f"Display name {text(value.get('requested_verified_name'))!r}: {decision.lower() or 'unknown'}"
    return _Reading(
        topic="name",
        effect=_DECISIONS.get(decision, Effect.NONE),
        cause=f"{sentence} ({reason})." if reason not in _NO_REASON else f"{sentence}.",
        facts={"decision": decision.lower(), "name": text(value.get("requested_verified_name"))},
    )


def _quality(value: Mapping[str, Any]) -> _Reading:
    event, tier = text(value.get("event")), text(value.get("current_limit"))
    return _Reading(
        topic="quality",
        effect=_QUALITY_EFFECTS.get(event, Effect.NONE),
        cause=f"Quality or throughput of the number: {event.lower() or 'unknown'} ({tier or 'no limit named'}).",
        change=event,
        facts={"tier": tier},
    )


def people_per_day(tier: str) -> str:
    """
    Return how many new people a portfolio may write to in 24 hours: a number or "unlimited", empty if it is not said.

    Shape: "TIER_250", "TIER_2K", "TIER_UNLIMITED" or a number as text.
    """
    if tier in _UNLIMITED:
        return UNLIMITED
    found = _TIER.fullmatch(tier)
    return str(int(found[1]) * (1000 if found[2] else 1)) if found else ""


def _capability(value: Mapping[str, Any]) -> _Reading:
    limit = next((text(value.get(name)) for name in _TIER_NAMES if text(value.get(name))), "")
    numbers = text(value.get("max_phone_numbers_per_waba"))
    return _Reading(
        topic="limits",
        effect=Effect.NONE,
        cause=f"Messaging limit: {limit or 'not named'} people a day.",
        facts={"tier": limit, "people_per_day": people_per_day(limit), "max_phone_numbers": numbers},
    )


def _security(value: Mapping[str, Any]) -> _Reading:
    event = text(value.get("event"))
    return _Reading(
        topic="security",
        effect=Effect.NONE,
        cause=f"The two-step pin at Meta: {event.lower().replace('_', ' ') or 'changed'}.",
        change=event,
    )


def _username(value: Mapping[str, Any]) -> _Reading:
    username, status = text(value.get("username")), text(value.get("status"))
    return _Reading(
        topic="username",
        effect=Effect.NONE,
        cause=f"Username {username!r}: {status or 'unknown'}.",
        facts={"username": username, "status": status},
    )


def _settings(value: Mapping[str, Any]) -> _Reading:
    return _Reading(topic="settings", effect=Effect.NONE, cause="Settings of the account changed at Meta.")


ACCOUNT_FIELDS: Mapping[str, Callable[[Mapping[str, Any]], _Reading]] = {
    "account_update": _update,
    "account_alerts": _alert,
    "account_review_update": _review,
    "account_settings_update": _settings,
    "business_capability_update": _capability,
    "business_username_update": _username,
    "phone_number_name_update": _name,
    "phone_number_quality_update": _quality,
    "security": _security,
}
"""`field` of a change -> its reader."""
