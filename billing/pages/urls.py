"""The address of the card page, on the public host."""

from django.urls import path

from billing.pages.views import CardPageView

urlpatterns = [path("<str:token>/", CardPageView.as_view(), name="card_page")]
