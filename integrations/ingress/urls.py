"""Where vendors post, and where they send browsers back."""

from django.urls import path

from integrations.ingress.oauth import AccountsView, CallbackView, DoneView, StartView
from integrations.ingress.views import WebhookView

urlpatterns = [
    path("webhooks/<slug:provider>/", WebhookView.as_view(), name="webhook-platform"),
    path("webhooks/<slug:provider>/<str:token>/", WebhookView.as_view(), name="webhook"),
    path("oauth/<slug:provider>/callback/", CallbackView.as_view(), name="oauth-callback"),
    path("oauth/<slug:provider>/start/<str:token>/", StartView.as_view(), name="oauth-start"),
    path("oauth/<slug:provider>/accounts/<uuid:attempt_id>/", AccountsView.as_view(), name="oauth-accounts"),
    path("oauth/<slug:provider>/done/<uuid:attempt_id>/", DoneView.as_view(), name="oauth-done"),
]
