"""Django's settings, made from `broker.environment`. What an installation may change is there, not here."""

from __future__ import annotations

import sys
from typing import Any
from urllib.parse import unquote, urlsplit

from broker.environment import BASE_DIR, load
from broker.errors import Invalid

try:
    POSTERN = load()
except Invalid as error:
    print("error: bad settings", *(f"  {problem}" for problem in error.problems), sep="\n", file=sys.stderr)
    raise SystemExit(1) from None


def _secret_key() -> str:
    try:
        return (POSTERN.keys_dir / "secret_key").read_text().strip()
    except OSError:
        return ""  # Django refuses to sign anything with this: set-up makes the file, nothing else does


def _databases() -> dict[str, Any]:
    url = POSTERN.database_url.get_secret_value()
    if not url:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": POSTERN.data_dir / "postern.sqlite3",
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            },
            "CONN_MAX_AGE": None,
            "TEST": {"NAME": None},
        }
    parts = urlsplit(url)
    if parts.scheme not in ("postgresql", "postgres"):
        print("error: POSTERN_DATABASE_URL must begin with postgresql://", file=sys.stderr)
        raise SystemExit(1)
    query = dict(item.split("=", 1) for item in parts.query.split("&") if "=" in item)
    host = unquote(query.pop("host", "") or parts.hostname or "")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        # Parameters travel apart from the text, and what is asked often is planned once.
        "OPTIONS": {"server_side_binding": True, "prepare_threshold": 5, **query},
    }


BASE = BASE_DIR
DEBUG = POSTERN.debug
SECRET_KEY = _secret_key()
ALLOWED_HOSTS = [POSTERN.host]
ROOT_URLCONF = "broker.urls"
ASGI_APPLICATION = "broker.asgi.application"
DATABASES = {"default": _databases()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
APPEND_SLASH = False

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_otp",
    "django_htmx",
    "csp",
    "accounts",
    "django_otp_webauthn",  # after accounts, whose user model it asks for while it is being imported
    "broker",
    "proxy",
]

MIDDLEWARE = [
    "broker.middleware.RequestContextMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "accounts.middleware.LoginSessionMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "broker.middleware.ErrorsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "libraries": {"postern": "broker.console.templatetags.postern"},
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.messages.context_processors.messages",
                "broker.console.context.shell",
            ],
        },
    }
]

AUTH_USER_MODEL = "accounts.User"
OTP_WEBAUTHN_CREDENTIAL_MODEL = "accounts.Passkey"
OTP_WEBAUTHN_RP_ID = POSTERN.host
OTP_WEBAUTHN_RP_NAME = POSTERN.name
OTP_WEBAUTHN_ALLOWED_ORIGINS = [POSTERN.url]
SILENCED_SYSTEM_CHECKS = [
    "auth.W004",  # names are unique by their key (accounts.names)
    "otp_webauthn.E031",  # plain http is taken for *.localhost alone (broker.environment), which browsers trust
]
AUTHENTICATION_BACKENDS: list[str] = []  # sign-in is ours (accounts.authenticators): no backend may let anyone in
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# Cookies: `__Host-` needs Secure, Path=/ and no Domain; browsers grant Secure to http://*.localhost as well.
CSRF_COOKIE_NAME = "__Host-postern-csrf"
CSRF_COOKIE_SECURE = True
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_TRUSTED_ORIGINS = [POSTERN.url]
CSRF_FAILURE_VIEW = "broker.console.errors.csrf_failure"
SESSION_COOKIE_SECURE = True
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
MESSAGE_STORAGE = "broker.console.flash.HostCookieStorage"

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
X_FRAME_OPTIONS = "DENY"

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = POSTERN.data_dir / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "broker.console.assets.HashedStatics"},
}

from csp.constants import NONCE, NONE, SELF  # noqa: E402

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}

DATA_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 500

CELERY_BROKER_URL = POSTERN.redis.replace("unix://", "redis+socket://", 1)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "broker.logs.LineFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "django.request": {"level": "ERROR"},
        "django.security": {"level": "ERROR"},
        "asyncio": {"level": "WARNING"},
        "httpx2": {"level": "WARNING"},  # it would write down each request to a provider
    },
}
