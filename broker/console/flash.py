"""One-time messages in a `__Host-` cookie, signed: no server-side session is needed for them."""

from django.contrib.messages.storage.cookie import CookieStorage


class HostCookieStorage(CookieStorage):
    """Django's cookie storage under a name that no sibling host can set."""

    cookie_name = "__Host-postern-messages"
