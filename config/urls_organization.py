"""URLs of one organization, under /o/<slug>/ or at its own host."""

from django.urls import URLPattern, URLResolver, path
from django.views.generic import RedirectView

from config import views
from integrations.admin.sites import organization_site

urlpatterns: list[URLPattern | URLResolver] = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="organization_home"),
    path("language/", views.set_language, name="set_language"),
    path("admin/", organization_site.urls),
]
