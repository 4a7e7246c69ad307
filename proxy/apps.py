"""The app `proxy`: where decisions are enforced. It stores nothing; being an app gives it management commands."""

from django.apps import AppConfig


class ProxyConfig(AppConfig):
    name = "proxy"
