"""Users as rows: what deleting one touches."""

from __future__ import annotations

import pytest

from accounts.models import Membership, User

pytestmark = pytest.mark.django_db


class TestDeletingAUser:
    """The admin's own log has no table here, and deleting must not look for it."""

    def test_takes_the_memberships_with_it(self, member):
        user = member("viewer")

        user.delete()

        assert not User.objects.filter(email="viewer@example.com").exists()
        assert Membership.objects.count() == 0
