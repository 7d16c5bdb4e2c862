"""Settings of the test suite: its own embedded servers, one database per worker, mail in memory."""

import os

os.environ["DATA_DIR"] = os.environ.get("TEST_DATA_DIR", ".data-test")
os.environ["ENVIRONMENT"] = "development"
for _name in ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "CACHE_URL", "SANDBOX"):
    os.environ.pop(_name, None)

from config.settings.base import *  # noqa: E402, F403
from config.settings.base import CACHES, DATA_DIR, DATABASES  # noqa: E402

TEST_DATABASE = (
    os.environ.get("TEST_DATABASE_NAME") or f"test_{os.getppid()}_{os.environ.get('PYTEST_XDIST_WORKER', os.getpid())}"
)
for _settings in DATABASES.values():
    _settings["NAME"] = TEST_DATABASE
# A test's transaction is seen by itself alone, so receiving shares its connection; tests of real processes do not.
DATABASES["default"] = {
    **DATABASES["default"],
    "OPTIONS": {key: value for key, value in DATABASES["default"]["OPTIONS"].items() if key != "pool"},
}
INGRESS_DATABASE = "default"
EVIDENCE_URL = f"file://{DATA_DIR}/evidence/{TEST_DATABASE}"  # heads of another database are damage to this one

CACHES["default"]["KEY_PREFIX"] = TEST_DATABASE
CELERY_BROKER_URL = "memory://"
OUTBOUND_THREADS = 0  # a thread has a connection of its own and would not see the test's transaction
TOKEN_COURIER = False  # a test's transaction is seen by itself alone: tokens are renewed where they are asked for
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
PUBLIC_URL = "https://registry.example"
ALLOWED_HOSTS = ["registry.example", "testserver", "127.0.0.1", "localhost"]
AXES_ENABLED = False
WHITENOISE_AUTOREFRESH = True  # looks for a file when it is asked for, not for all in each test's client
