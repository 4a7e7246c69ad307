"""The image and the compose file name only what exists. They are not built here."""

from __future__ import annotations

import re

import yaml

from broker.environment import BASE_DIR, Environment

KNOWN = {f"POSTERN_{name.upper()}" for name in Environment.model_fields}
# For the compose file itself, not for Postern.
OF_COMPOSE = {"POSTERN_PORT", "POSTERN_SECRETS"}


def test_the_image_copies_only_what_is_there_and_is_not_ignored() -> None:
    ignored = (BASE_DIR / ".dockerignore").read_text().splitlines()
    for line in re.findall(r"^COPY (?!--from)(.+)$", (BASE_DIR / "docker" / "Dockerfile").read_text(), re.MULTILINE):
        for source in line.split()[:-1]:
            assert (BASE_DIR / source).exists(), source
            assert f"!{source.removeprefix('./')}" in ignored, source


def test_the_image_does_not_run_as_root() -> None:
    users = re.findall(r"^USER (\S+)$", (BASE_DIR / "docker" / "Dockerfile").read_text(), re.MULTILINE)
    assert users == ["postern"]


def test_every_setting_that_is_named_exists() -> None:
    for name in ("Dockerfile", "compose.yaml", "example.env"):
        text = (BASE_DIR / "docker" / name).read_text()
        for setting in set(re.findall(r"POSTERN_[A-Z_]+", text)):
            assert setting.removesuffix("_FILE") in KNOWN | OF_COMPOSE, f"{name}: {setting}"


def test_the_services_hold_no_secret_and_no_privilege() -> None:
    """O21: secrets come from files, processes may gain nothing."""
    compose = yaml.safe_load((BASE_DIR / "docker" / "compose.yaml").read_text())
    for name in ("postern", "worker"):
        service = compose["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert not any("PASSWORD" in key or "SECRET" in key for key in service["environment"])
        assert "POSTERN_DATABASE_URL" not in service["environment"]
    assert set(compose["services"]) == {"postern", "worker", "postgres", "valkey"}
