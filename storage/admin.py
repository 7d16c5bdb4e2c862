"""Files of an organization, as a list."""

from __future__ import annotations

from django.contrib import admin
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext_lazy

from integrations.admin.base import ReadOnlyAdmin
from integrations.admin.sites import organization_site
from storage.models import StoredFile


@admin.register(StoredFile, site=organization_site)
class StoredFileAdmin(ReadOnlyAdmin):
    """What is kept, how large and what for; files of messages are opened in their conversation."""

    list_display = ("name", "content_type", "shown_size", "purpose", "created_at")
    list_filter = ("content_type", "purpose", ("created_at", admin.DateFieldListFilter))
    search_fields = ("name", "sha256")
    ordering = ("-created_at",)
    fields = ("name", "content_type", "shown_size", "sha256", "purpose", "created_at")
    readonly_fields = fields

    @admin.display(description=gettext_lazy("size"), ordering="size_bytes")
    def shown_size(self, obj: StoredFile) -> str:
        """The size as people read it."""
        return str(filesizeformat(obj.size_bytes))
