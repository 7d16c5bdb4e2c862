"""URLs of the platform: everything outside an organization's pages."""

from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("integrations.ingress.urls")),
]
