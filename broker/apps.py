"""The app `broker`: what is allowed and what gets signed."""

from django.apps import AppConfig


class BrokerConfig(AppConfig):
    name = "broker"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Load the system checks and Celery's app, so that `shared_task` finds it."""
        from broker import celery, checks

        _ = (celery, checks)
