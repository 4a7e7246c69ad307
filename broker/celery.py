"""Celery's app: housekeeping tasks, each one service call. Nothing that protects anybody waits for a task."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "broker.settings")
app = Celery("postern")
app.conf.update(
    broker_connection_retry_on_startup=True,
    task_ignore_result=True,
    task_acks_late=True,
    task_serializer="json",
    accept_content=["json"],
    worker_enable_remote_control=False,
    worker_hijack_root_logger=False,
    task_time_limit=300,
)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["broker"])
