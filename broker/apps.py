"""The app `broker`: what is allowed and what gets signed."""

from django.apps import AppConfig


class BrokerConfig(AppConfig):
    name = "broker"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Load the system checks. Celery's app is loaded by `broker.tasks` alone: it would cost each process 0.8 s."""
        from broker import checks

        _ = checks
