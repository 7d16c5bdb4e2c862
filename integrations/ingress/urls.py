"""Where vendors post."""

from django.urls import path

from integrations.ingress.views import WebhookView

urlpatterns = [
    path("webhooks/<slug:provider>/", WebhookView.as_view(), name="webhook-platform"),
    path("webhooks/<slug:provider>/<str:token>/", WebhookView.as_view(), name="webhook"),
]
