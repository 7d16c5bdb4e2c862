"""Addresses of the framework under /api/v1/. The catch-all comes last: include other rooms before this one."""

from django.urls import URLPattern, path, re_path

from integrations.api import catalogue, connections, endpoints, history, members, oauth, organization, outbox, usage
from integrations.api.views import UnknownAddress

_ONE = "integrations/<str:integration_id>/"
_ENDPOINT = "event-endpoints/<str:endpoint_id>/"
_DELIVERY = f"{_ONE}deliveries/<str:delivery_id>/"

urlpatterns: list[URLPattern] = [
    path("providers/", catalogue.ProvidersView.as_view(), name="providers"),
    path("providers/<str:key>/", catalogue.ProviderView.as_view(), name="provider"),
    path("integrations/", connections.IntegrationsView.as_view(), name="integrations"),
    path(_ONE, connections.IntegrationView.as_view(), name="integration"),
    path(f"{_ONE}credentials/", connections.CredentialsView.as_view(), name="integration-credentials"),
    path(f"{_ONE}test/", connections.ConnectionTestView.as_view(), name="integration-test"),
    path(f"{_ONE}disable/", connections.DisableView.as_view(), name="integration-disable"),
    path(f"{_ONE}enable/", connections.EnableView.as_view(), name="integration-enable"),
    path(f"{_ONE}rotate/", connections.RotateView.as_view(), name="integration-rotate"),
    path(f"{_ONE}refresh/", connections.RefreshView.as_view(), name="integration-refresh"),
    path(f"{_ONE}health-checks/", history.HealthChecksView.as_view(), name="integration-health-checks"),
    path(f"{_ONE}issues/", history.IssuesView.as_view(), name="integration-issues"),
    path(f"{_ONE}events/", history.EventsView.as_view(), name="integration-events"),
    path(f"{_ONE}calls/", history.CallsView.as_view(), name="integration-calls"),
    path(f"{_ONE}deliveries/", history.DeliveriesView.as_view(), name="integration-deliveries"),
    path(_DELIVERY, history.DeliveryView.as_view(), name="integration-delivery"),
    path(f"{_DELIVERY}replay/", history.ReplayView.as_view(), name="integration-replay"),
    path(f"{_ONE}outbox/", outbox.OutboxView.as_view(), name="integration-outbox"),
    path(f"{_ONE}outbox/<str:entry_id>/cancel/", outbox.OutboxCancelView.as_view(), name="integration-outbox-cancel"),
    path("oauth/<str:provider>/start/", oauth.OAuthStartView.as_view(), name="oauth-start-api"),
    path("api-keys/", organization.ApiKeysView.as_view(), name="api-keys"),
    path("api-keys/<str:key_id>/", organization.ApiKeyView.as_view(), name="api-key"),
    path("members/", members.MembersView.as_view(), name="members"),
    path("members/<str:member_id>/", members.MemberView.as_view(), name="member"),
    path("event-endpoints/", endpoints.EndpointsView.as_view(), name="event-endpoints"),
    path(_ENDPOINT, endpoints.EndpointView.as_view(), name="event-endpoint"),
    path(f"{_ENDPOINT}rotate-secret/", endpoints.RotateSecretView.as_view(), name="event-endpoint-rotate-secret"),
    path(f"{_ENDPOINT}test/", endpoints.TestView.as_view(), name="event-endpoint-test"),
    path(f"{_ENDPOINT}attempts/", endpoints.AttemptsView.as_view(), name="event-endpoint-attempts"),
    path(f"{_ENDPOINT}replay/", endpoints.ReplayView.as_view(), name="event-endpoint-replay"),
    path("events/", endpoints.EventsView.as_view(), name="events"),
    path("event-types/", endpoints.EventTypesView.as_view(), name="event-types"),
    path("usage/", usage.UsageView.as_view(), name="usage"),
    path("audit-entries/", organization.AuditEntriesView.as_view(), name="audit-entries"),
    path("audit-entries/verify/", organization.AuditVerificationView.as_view(), name="audit-entries-verify"),
    re_path(r"^.*$", UnknownAddress.as_view(), name="unknown-address"),
]
