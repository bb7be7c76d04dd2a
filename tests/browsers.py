"""Chromium without a screen, for tests of pages."""

import json
import shutil

import pytest


def chromium(profile, downloads=None):
    """A driver; skips where Chromium, its driver or selenium is absent.

    Args:
      profile: an empty folder.
      downloads: folder for what pages save.
    """
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if not all(programs):
        pytest.skip("no chromium with chromedriver: apt-get install chromium chromium-driver")
    options = selenium.ChromeOptions()
    options.binary_location = programs[0]
    for flag in (
        *("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run"),
        *("disable-background-networking", "disable-component-update", "disable-sync"),
        *("disable-dev-shm-usage", f"user-data-dir={profile}"),
    ):
        options.add_argument(f"--{flag}")
    if downloads:
        options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = selenium.ChromeService(executable_path=programs[1])
    driver = selenium.Chrome(options=options, service=service)
    driver.get("about:blank")
    driver.get_log("performance")  # of the browser's own first page
    return driver


_LOCAL = ("file:", "data:", "blob:", "about:", "chrome:", "chrome-untrusted:")


def assert_quiet(browser):
    """Holds that no page complained or asked any host for anything, since this was asked last."""
    severe = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert not severe
    sent = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [
        message["params"]["request"]["url"]
        for message in sent
        if message["method"] == "Network.requestWillBeSent"
    ]
    assert urls
    assert not [url for url in urls if not url.startswith(_LOCAL)]
