"""What must be true before a process of the product starts to work."""

from __future__ import annotations

from django.core.management.base import CommandError

from vault.keys import BadKeyRing
from vault.services import check_master_keys


def require_master_keys() -> None:
    """
    Prove that the master keys open what is stored.

    :raises CommandError: they do not; one line says which setting to mend, and the command ends with it
    """
    try:
        check_master_keys()
    except BadKeyRing as error:
        raise CommandError(str(error)) from None
