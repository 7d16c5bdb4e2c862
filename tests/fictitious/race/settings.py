"""
Settings of the processes of a race: the suite's servers and database, a pool, and couriers of their own.

TEST_DATA_DIR and TEST_DATABASE_NAME say where; PROVIDER_URL_PARCELBOX is the vendor. RACE_DATABASE_WAIT_S is how
long a thread waits for one of its process's few connections.
"""

import os

from config.settings.test import *  # noqa: F403
from config.settings.test import DATABASES, INSTALLED_APPS

_WAIT_S = float(os.environ.get("RACE_DATABASE_WAIT_S", "30"))
TOKEN_COURIER = True
INSTALLED_APPS = [*INSTALLED_APPS, "tests.fictitious.race.app.ParcelboxConfig"]
DATABASES["default"]["OPTIONS"]["pool"] = {"min_size": 0, "max_size": 4, "timeout": _WAIT_S}
