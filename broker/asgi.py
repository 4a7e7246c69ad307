"""The ASGI application of the `web` process."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "broker.settings")

from django.core.asgi import get_asgi_application

application = get_asgi_application()
