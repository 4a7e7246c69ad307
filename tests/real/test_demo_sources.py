"""`bin/run --demo-idp --demo-ldap`: a newcomer comes in by the sample provider and by the sample directory."""

from __future__ import annotations

import base64
import html
import re
import shutil
import time
from collections.abc import Iterator

import pytest
from django_otp.oath import hotp
from playwright.sync_api import Browser, Page, sync_playwright

from tests.real.product import Product

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    assert shutil.which("slapd", path="/usr/sbin:/usr/bin:/usr/local/sbin"), "slapd is not installed"
    with Product(tmp_path_factory.mktemp("demo") / "var", samples=("--demo-idp", "--demo-ldap")) as running:
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("chromium-browser"),
            args=[*arguments, "--disable-sync", "--no-first-run"],
        )
        yield browser
        browser.close()


def enrol(page: Page) -> None:
    """Set up an authenticator app, as the page asks, and keep the recovery codes."""
    page.wait_for_url("**/sign-in/enrol")
    found = re.search(r"otpauth://[^\"'<>]*?secret=([A-Z2-7]+)", html.unescape(page.content()))
    assert found
    page.fill("input[name=code]", f"{hotp(base64.b32decode(found[1]), int(time.time()) // 30):06d}")
    page.get_by_role("button", name="Go on").click()
    page.click("button[name=saved]")


def sees_the_app(page: Page, product: Product) -> str:
    page.goto(f"http://demo-app.postern.localhost:{product.port}/")
    return page.inner_text("body")


def test_erin_comes_by_the_sample_provider_and_may_all(product: Product, chromium: Browser) -> None:
    page = chromium.new_context().new_page()
    page.goto(f"{product.url}/sign-in")
    page.get_by_role("button", name="Sample provider").click()
    page.check("input[value=erin]")
    page.fill("input[type=password]", "not the password")
    page.click("button")
    assert "wrong" in page.inner_text("body")
    page.check("input[value=erin]")
    page.fill("input[type=password]", "demo")
    page.click("button")
    enrol(page)
    page.wait_for_url(f"{product.url}/")
    assert "Hello, erin" in sees_the_app(page, product)


def test_signing_out_at_the_provider_ends_it_here(product: Product, chromium: Browser) -> None:
    """Back-channel logout: the provider itself tells Postern."""
    page = chromium.new_context().new_page()
    page.goto(f"{product.url}/sign-in")
    page.get_by_role("button", name="Sample provider").click()
    page.wait_for_url("**/authorize?**")
    provider = page.url.partition("/authorize")[0]
    page.check("input[value=frank]")
    page.fill("input[type=password]", "demo")
    page.click("button")
    enrol(page)
    page.wait_for_url(f"{product.url}/")
    assert "Hello, frank" in sees_the_app(page, product)
    page.goto(provider)
    page.click("button")
    page.wait_for_selector("text=You are signed out here")
    assert "Hello, frank" not in sees_the_app(page, product)
    page.goto(f"{product.url}/account")
    assert "/sign-in" in page.url


def test_grace_comes_by_the_sample_directory_through_a_group_in_a_group(product: Product, chromium: Browser) -> None:
    page = chromium.new_context().new_page()
    page.goto(f"{product.url}/sign-in")
    page.fill("input[name=username]", " GRACE@example.com")
    page.fill("input[name=password]", "demo")
    page.get_by_role("button", name="Go on").click()
    enrol(page)
    page.wait_for_url(f"{product.url}/")
    assert "demo-engineers" in sees_the_app(page, product)
