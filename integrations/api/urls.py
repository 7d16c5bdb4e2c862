"""Addresses of the framework under /api/v1/. The catch-all comes last: include other rooms before this one."""

from django.urls import URLPattern, re_path

from integrations.api.views import UnknownAddress

urlpatterns: list[URLPattern] = [
    re_path(r"^.*$", UnknownAddress.as_view(), name="unknown-address"),
]
