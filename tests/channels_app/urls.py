"""The API with its channels, without the pages of people."""

from django.urls import include, path

urlpatterns = [
    path("api/v1/channels/", include("channels_app.api.urls")),
    path("api/v1/", include("integrations.api.urls")),
]
