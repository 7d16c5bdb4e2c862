"""URLs of the platform: everything outside an organization's pages."""

from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from config import health
from config.urls_people import people_urlpatterns

# The API's own room comes last of the API: its catch-all answers every address that no other room knows.
api_urlpatterns: list[URLPattern | URLResolver] = [
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path("api/v1/channels/", include("channels_app.api.urls")),
    path("api/v1/billing/", include("billing.api.urls")),
    path("api/v1/", include("integrations.api.urls")),
]

operator_urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics_page, name="metrics"),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("integrations.ingress.urls")),
    *api_urlpatterns,
    path("pay/", include("billing.pages.urls")),
    *operator_urlpatterns,
    *people_urlpatterns,
]

handler404 = "config.errors.not_found"
handler500 = "config.errors.server_error"
