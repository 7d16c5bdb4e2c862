"""Settings of every process. The environment is read here, at the top, and nowhere else."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from config import runtime
from config.logs import logging_settings
from config.settings.environment import (
    ENVIRONMENT,
    IS_PRODUCTION,
    ROOT,
    data_dir,
    env,
    host_of,
    key_material,
    require_in_production,
)
from integrations.outbound.overrides import read_overrides

BASE_DIR = ROOT
DATA_DIR = data_dir()
DEBUG = False

# --- Keys -----------------------------------------------------------------------------------------------------
SECRET_KEY = key_material("SECRET_KEY")
MASTER_KEYS = key_material("MASTER_KEYS")
PLATFORM_KEYS = key_material("PLATFORM_KEYS")

# --- Addresses ------------------------------------------------------------------------------------------------
HOST = env.str("HOST", default="127.0.0.1")
PORT = env.int("PORT", default=8000)
PUBLIC_URL = require_in_production("PUBLIC_URL", f"http://{HOST}:{PORT}").rstrip("/")
ADMIN_HOST = require_in_production("ADMIN_HOST", "")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[]) or [
    *{host_of(PUBLIC_URL), host_of(ADMIN_HOST), "127.0.0.1", "localhost"} - {""}
]
EVIDENCE_URL = env.str("EVIDENCE_URL", default="" if IS_PRODUCTION else f"file://{DATA_DIR / 'evidence'}")
EGRESS_ALLOW = env.list("EGRESS_ALLOW", default=[])
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")

# --- Vendors --------------------------------------------------------------------------------------------------
SANDBOX = env.bool("SANDBOX", default=False)
SANDBOX_URL = env.str("SANDBOX_URL", default="http://127.0.0.1:8420").rstrip("/")
PROVIDER_OVERRIDES = read_overrides(os.environ)
ALLOW_PROVIDER_OVERRIDES = env.bool("ALLOW_PROVIDER_OVERRIDES", default=False)
if IS_PRODUCTION and (SANDBOX or PROVIDER_OVERRIDES) and not ALLOW_PROVIDER_OVERRIDES:
    raise ImproperlyConfigured(
        "SANDBOX or a PROVIDER_URL_* is set in production: customers' calls would not reach their vendors. "
        "Remove it, or set ALLOW_PROVIDER_OVERRIDES=1 if that is what you want."
    )
META_GRAPH_VERSION = env.str("META_GRAPH_VERSION", default="")
OAUTH_APP_SEEDS = {
    "whatsapp": {
        "client_id": env.str("META_APP_ID", default=""),
        "app_secret": env.str("META_APP_SECRET", default=""),
        "verify_token": env.str("META_VERIFY_TOKEN", default=""),
    },
    "stripe": {
        "client_id": env.str("STRIPE_CLIENT_ID", default=""),
        "platform_key": env.str("STRIPE_PLATFORM_KEY", default=""),
        "webhook_secret": env.str("STRIPE_CONNECT_WEBHOOK_SECRET", default=""),
    },
    "mercadopago": {
        "client_id": env.str("MERCADOPAGO_CLIENT_ID", default=""),
        "client_secret": env.str("MERCADOPAGO_CLIENT_SECRET", default=""),
        "webhook_secret": env.str("MERCADOPAGO_WEBHOOK_SECRET", default=""),
    },
}

# --- Apps: public or organization, never both (DESIGN section 3) -------------------------------------------------
SHARED_APPS = [
    "django_tenants",
    "tenants",
    "accounts",
    "vault",
    "dispatch",
    "meter",
    "audit",
    "notifications",
    "privacy",
    "config",
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "axes",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]
TENANT_APPS = [
    "integrations",
    "storage",
    "channels_app",
    "billing",
    "ai_services",
    "analytics",
    "monitoring",
]
INSTALLED_APPS = [*SHARED_APPS, *TENANT_APPS]
TENANT_MODEL = "tenants.Organization"
TENANT_DOMAIN_MODEL = "tenants.Domain"
TENANT_SYNC_ROUTER = "tenants.routers.OrganizationRouter"
DATABASE_ROUTERS = [TENANT_SYNC_ROUTER]
TENANT_LIMIT_SET_CALLS = False  # RELIABILITY section 4, rule 5
PUBLIC_SCHEMA_NAME = "public"
TEMPLATE_SCHEMA = "organization_template"
MIGRATION_MODULES = {"admin": None}  # django_admin_log is not used: history is the audit trail (RELIABILITY 4.15)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

MIDDLEWARE = [
    "tenants.middleware.OrganizationMiddleware",
    "config.middleware.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "integrations.ingress.middleware.WebhookMiddleware",  # webhooks go no further; before it: organization, id, HTTPS
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",  # both before whatever answers a page by itself
    "csp.middleware.CSPMiddleware",
    "config.middleware.HostSeparationMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "accounts.middleware.MembershipMiddleware",
    "accounts.middleware.ApiKeyMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "config.urls"
ORGANIZATION_URLCONF = "config.urls_organization"
WSGI_APPLICATION = "config.wsgi.application"
APPEND_SLASH = True

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "config.context.product",
            ]
        },
    }
]

# --- Databases ------------------------------------------------------------------------------------------------
# default: the application's role, inside an organization or public. ingress: the same role, always public, never
# entering an organization, so that receiving costs no SET search_path. owner: DDL, organization creation, pruning.
_external = env.str("DATABASE_URL", default="")
_app: dict[str, Any] = dict(
    env.db_url_config(_external) if _external else runtime.database_settings(DATA_DIR, role="app")
)
_owner_url = env.str("DATABASE_OWNER_URL", default=_external)
_owner: dict[str, Any] = dict(
    env.db_url_config(_owner_url) if _owner_url else runtime.database_settings(DATA_DIR, role="owner")
)
TENANT_ENGINE = "django_tenants.postgresql_backend"
DATABASE_POOL_SIZE = env.int("DATABASE_POOL_SIZE", default=16)
OUTBOUND_THREADS = env.int("OUTBOUND_THREADS", default=8)  # per worker process; each waits for one vendor at a time
_pool = {
    "min_size": 1,
    "max_size": DATABASE_POOL_SIZE,
    "timeout": 10,
    "reconnect_timeout": 5,  # the default doubles its pauses up to five minutes, long after the server is back
}
DATABASES = {
    "default": {
        **_app,
        "ENGINE": TENANT_ENGINE,
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,  # each connection that a restart left in the pool would cost one request otherwise
        "OPTIONS": {**_app.get("OPTIONS", {}), "pool": _pool},
    },
    "ingress": {
        **_app,
        "ENGINE": "django.db.backends.postgresql",
        "CONN_MAX_AGE": None,
        "OPTIONS": {**_app.get("OPTIONS", {}), "options": "-c search_path=public"},
        "TEST": {"MIRROR": "default"},
    },
    "owner": {**_owner, "ENGINE": TENANT_ENGINE, "CONN_MAX_AGE": 0},
}
INGRESS_DATABASE = "ingress"
DATABASE_APP_ROLE = _app["USER"]
HAS_SEPARATE_OWNER = _owner["USER"] != _app["USER"]

# --- Redis, cache, Celery ---------------------------------------------------------------------------------------
REDIS_URL = env.str("REDIS_URL", default="") or runtime.redis_url(DATA_DIR)
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": env.str("CACHE_URL", default="") or REDIS_URL,
        "KEY_FUNCTION": "tenants.cache.organization_key",
        "TIMEOUT": 300,
        "OPTIONS": {"socket_connect_timeout": 2, "socket_timeout": 2},
    }
}
CELERY_BROKER_URL = env.str("REDIS_URL", default="") or runtime.broker_url(DATA_DIR)
# RELIABILITY section 3: every value there is mandatory and measured.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 300,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_timeout": 30,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 10,
}
CELERY_TASK_SOFT_TIME_LIMIT = 90
CELERY_TASK_TIME_LIMIT = 120
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.1}
CELERY_WORKER_MAX_TASKS_PER_CHILD = 1000
CELERY_WORKER_MAX_MEMORY_PER_CHILD = 300_000  # KB
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 30 if IS_PRODUCTION else 5
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # Redis may be away for hours; the default gives up after 100 tries
CELERY_TASK_DEFAULT_QUEUE = "bulk"
CELERY_TASK_ROUTES = {
    "integrations.tasks.work_deliveries": {"queue": "inbound"},
    "integrations.tasks.work_outbox": {"queue": "outbound"},
    "integrations.tasks.sweep_*": {"queue": "health"},
}
HEALTH_THREADS = env.int("HEALTH_THREADS", default=32)  # vendors that one sweep of health checks waits for at once
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "celerybeat-schedule")
TOKEN_COURIER = True  # tokens are renewed in a process of its own (decision note 0011)

# --- Accounts -------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "accounts.backends.RoleBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
# The form's name of the address. Axes would take the model's ("email"), count every failure for nobody and lock nobody.
AXES_USERNAME_FORM_FIELD = "username"
AXES_LOCKOUT_TEMPLATE = "registry/locked_out.html"
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_HANDLER = "axes.handlers.database.AxesDatabaseHandler"
AXES_ENABLE_ADMIN = False

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PUBLIC_URL.startswith("https")
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL, *([f"https://{ADMIN_HOST}"] if ADMIN_HOST else [])]
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if IS_PRODUCTION:
    SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=True)
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# Unfold's Alpine evaluates expressions in attributes, hence 'unsafe-eval' on the admin alone (decision note 0003).
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'", "'unsafe-eval'"],
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:", "blob:"],
        "font-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "frame-ancestors": ["'none'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "object-src": ["'none'"],
    }
}

# --- API ------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.permissions.HasScope"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "integrations.api.problems.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Integrations Registry",
    "DESCRIPTION": "Connect an organization's outside accounts once; the registry keeps every link alive.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "AUTHENTICATION_WHITELIST": ["accounts.authentication.ApiKeyAuthentication"],
}

# --- Bodies ---------------------------------------------------------------------------------------------------
WEBHOOK_MAX_BYTES = 4 * 1024 * 1024  # one Meta callback may hold 3 MB
DATA_UPLOAD_MAX_MEMORY_SIZE = WEBHOOK_MAX_BYTES + 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

# --- Files, language, time ----------------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = env.str("STATIC_ROOT", default=str(DATA_DIR / "static"))
MEDIA_ROOT = env.str("MEDIA_ROOT", default=str(DATA_DIR / "files"))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if IS_PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not IS_PRODUCTION
if not IS_PRODUCTION:
    Path(STATIC_ROOT).mkdir(parents=True, exist_ok=True)  # empty: finders serve the files where they are
LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("pt-br", _("Portuguese (Brazil)"))]
FORMAT_MODULE_PATH = ["config.formats"]
LOCALE_PATHS = [ROOT / "locale"]
USE_I18N = USE_TZ = True
TIME_ZONE = "UTC"

# --- Mail and the platform's own observability ---------------------------------------------------------------------
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="registry@localhost")
vars().update(env.email_url("EMAIL_URL", default="consolemail://"))
EMAIL_TIMEOUT = 20  # seconds; without it a mail server that hangs holds a worker until the task's limit
DISABLE_AFTER_DAYS = env.int("DISABLE_AFTER_DAYS", default=14)  # what its owner leaves broken is switched off then
ENDPOINT_DISABLE_AFTER_DAYS = env.int("ENDPOINT_DISABLE_AFTER_DAYS", default=5)  # the same of an event endpoint
LOGGING = logging_settings(is_production=IS_PRODUCTION)
SENTRY_DSN = env.str("SENTRY_DSN", default="")
ENVIRONMENT_NAME = ENVIRONMENT
