"""The real MLflow UI in a real headless Chromium, on the store that a real training left.

Run it with ``make test-browser``; the screenshots lie in the folder that it prints, or in ``RASD_SCREENSHOTS``.
``RASD_PROJECT`` names the folder of a project that was trained for real, to be looked at instead of a tiny one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest

from tests import tiny
from tests.waiting import free_port, until_up
from training.store import store_uri, use_store

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium chromium-driver"),
    pytest.mark.skipif(DRIVER is None, reason="no chromedriver here: apt-get install chromium-driver"),
]
# Of the two faces of MLflow the one for models that are trained, and not for language models that are asked.
MODEL_TRAINING = "?workflowType=machine_learning"
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(os.environ.get("RASD_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    print(f"screenshots: {folder}")
    return folder


@pytest.fixture(scope="module")
def project(request: pytest.FixtureRequest) -> Path:
    real = os.environ.get("RASD_PROJECT")
    return Path(real).resolve() if real else Path(request.getfixturevalue("trained"))


@pytest.fixture(scope="module")
def run(project: Path) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        use_store()
        runs = mlflow.search_runs(experiment_names=["rasd"], output_format="list")
        parent = next(r for r in runs if "mlflow.parentRunId" not in r.data.tags)
        own = [r for r in runs if r.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
        encoder = next(r for r in own if r.info.run_name.startswith("encoder"))
        gold = parent.data.tags["data.evaluation.rows"]
        return {
            "store": store_uri(),
            "experiment": parent.info.experiment_id,
            "id": parent.info.run_id,
            "name": parent.info.run_name,
            "encoder": encoder,
            "all": f"{gold} of {gold} paragraphs",
        }


@pytest.fixture(scope="module")
def dashboard(project: Path, run: dict[str, Any]) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "inference.cli", "dashboard", "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(tiny.ROOT)}
    server = subprocess.Popen(command, cwd=project, env=environment, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        until_up(address, server)
        yield address
    finally:
        # The whole group: the UI has workers of its own.
        os.killpg(server.pid, 15)
        server.wait(30)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    profile = tmp_path_factory.mktemp("profile")
    for argument in (*ARGUMENTS, f"--user-data-dir={profile}", "--window-size=1400,1000"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    yield driver
    driver.quit()


def shows(browser: Any, *texts: str, seconds: float = 40) -> None:
    """Wait until the page shows every text."""
    from selenium.webdriver.common.by import By

    end = time.monotonic() + seconds
    page = ""
    while time.monotonic() < end:
        page = browser.find_element(By.TAG_NAME, "body").text
        if all(t in page for t in texts):
            time.sleep(1)
            return
        time.sleep(0.3)
    missing = [t for t in texts if t not in page]
    raise AssertionError(f"not on the page: {missing}; it shows: {page[:1500]}")


def test_the_list_of_runs_shows_the_training_and_its_stages(
    browser: Any, dashboard: str, run: dict[str, Any], screenshots: Path
) -> None:
    browser.get(f"{dashboard}/#/experiments/{run['experiment']}/runs{MODEL_TRAINING}")
    shows(browser, run["name"])
    _close_assistant(browser)
    _expand(browser)
    shows(browser, "weak labels", "TF-IDF", "encoder", "evaluation")
    browser.save_screenshot(str(screenshots / "runs.png"))


def _expand(browser: Any) -> None:
    from selenium.webdriver.common.by import By

    for button in browser.find_elements(By.CSS_SELECTOR, "[data-testid='expander-button'], .ag-cell button, td button"):
        if button.is_displayed():
            button.click()
            return


def _close_assistant(browser: Any) -> None:
    from selenium.webdriver.common.by import By

    # MLflow's offer to talk about the page takes a quarter of it.
    for button in browser.find_elements(By.CSS_SELECTOR, "[aria-label='Close'], [data-testid='assistant-close']"):
        if button.is_displayed():
            button.click()
            time.sleep(1)
            return


def test_a_run_shows_its_results_and_where_the_report_is(
    browser: Any, dashboard: str, run: dict[str, Any], screenshots: Path
) -> None:
    browser.get(f"{dashboard}/#/experiments/{run['experiment']}/runs/{run['id']}{MODEL_TRAINING}")
    shows(browser, "report.html", "majority vote", "Child runs")
    _close_assistant(browser)
    browser.save_screenshot(str(screenshots / "run.png"))


def test_a_metric_is_drawn(browser: Any, dashboard: str, run: dict[str, Any], screenshots: Path) -> None:
    from selenium.webdriver.common.by import By

    encoder = run["encoder"].info.run_id
    browser.get(f"{dashboard}/#/experiments/{run['experiment']}/runs/{encoder}/model-metrics{MODEL_TRAINING}")
    shows(browser, "Model metrics", "(training/loss)")
    _close_assistant(browser)
    browser.save_screenshot(str(screenshots / "metrics.png"))
    end = time.monotonic() + 30
    while (
        not browser.find_elements(By.CSS_SELECTOR, ".js-plotly-plot, .plot-container, svg.main-svg")
        and time.monotonic() < end
    ):
        time.sleep(0.3)
    assert browser.find_elements(By.CSS_SELECTOR, ".js-plotly-plot, .plot-container, svg.main-svg")
    browser.save_screenshot(str(screenshots / "metrics.png"))


def test_the_report_opens_in_the_artifact_viewer(
    browser: Any, dashboard: str, run: dict[str, Any], screenshots: Path
) -> None:
    from selenium.webdriver.common.by import By

    browser.get(f"{dashboard}/#/experiments/{run['experiment']}/runs/{run['id']}/artifacts/report.html{MODEL_TRAINING}")
    shows(browser, "report.html")
    end = time.monotonic() + 40
    while not browser.find_elements(By.TAG_NAME, "iframe") and time.monotonic() < end:
        time.sleep(0.3)
    browser.switch_to.frame(browser.find_element(By.TAG_NAME, "iframe"))
    try:
        shows(browser, "Paragraphs of gold", run["all"])
    finally:
        browser.switch_to.default_content()
    browser.save_screenshot(str(screenshots / "report_in_mlflow.png"))


@pytest.fixture
def report(run: dict[str, Any], project: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(project)
    use_store()
    return f"file://{mlflow.artifacts.download_artifacts(run_id=run['id'], artifact_path='report.html')}"


def test_the_report_opens_from_disk_and_filters_by_keyboard(
    browser: Any, report: str, run: dict[str, Any], screenshots: Path
) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    browser.set_window_size(1200, 1000)
    browser.get(report)
    shows(browser, run["all"])
    browser.save_screenshot(str(screenshots / "report_top.png"))
    everything = browser.find_element(By.ID, "count").text
    browser.find_element(By.ID, "topic").send_keys("Peace")
    shows(browser, "Peace talks")
    assert browser.find_element(By.ID, "count").text != everything
    # From the last field, Tab reaches the button, and Enter resets.
    browser.find_element(By.ID, "query").send_keys(Keys.TAB)
    focused = browser.switch_to.active_element
    assert focused.text == "Reset the filters"
    assert focused.value_of_css_property("outline-style") == "solid"
    focused.send_keys(Keys.ENTER)
    browser.execute_script("document.getElementById('browser').scrollIntoView()")
    shows(browser, run["all"])
    browser.save_screenshot(str(screenshots / "report_paragraphs.png"))
    texts = browser.find_elements(By.CSS_SELECTOR, "article p.text")
    assert {t.value_of_css_property("direction") for t in texts} == {"rtl"}
    assert [entry for entry in browser.get_log("browser") if "report.html" in entry["message"]] == []


def test_the_report_fetches_nothing(browser: Any, report: str, run: dict[str, Any]) -> None:
    browser.get(report)
    shows(browser, run["all"])
    fetched = browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [name for name in fetched if not name.startswith("data:")] == []


def test_a_screen_reader_finds_landmarks_and_a_name_for_everything_that_can_be_used(
    browser: Any, report: str, run: dict[str, Any]
) -> None:
    browser.get(report)
    shows(browser, run["all"])
    nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    named = [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes if not n.get("ignored")]
    roles = {role for role, _ in named}
    assert {"banner", "navigation", "main", "form", "status", "article", "searchbox", "combobox"} <= roles
    useful = ("combobox", "searchbox", "button", "link", "form", "navigation", "region", "image", "article")
    assert [role for role, name in named if role in useful and not name.strip()] == []


def test_a_hostile_paragraph_is_shown_and_never_run(browser: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By

    from tests import test_report

    file = tmp_path / "report.html"
    # A lone surrogate does not come through the driver.
    file.write_text(test_report.report(test_report.HOSTILE.replace("\ud800", "")), "utf-8")
    browser.get(f"file://{file}")
    shows(browser, "2 of 2 paragraphs")
    text = browser.find_element(By.CSS_SELECTOR, "article p.text").get_attribute("textContent")
    assert "</script><script>alert('س')</script><img src=x onerror=alert(1)>" in text
    assert browser.find_elements(By.CSS_SELECTOR, "article script, article img") == []
    # Nothing of it ran: an alert would stand in the way of this.
    assert browser.title == "run"


def test_the_report_fits_a_phone(browser: Any, report: str, run: dict[str, Any], screenshots: Path) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    )
    try:
        browser.get(report)
        shows(browser, run["all"])
        browser.save_screenshot(str(screenshots / "report_phone_top.png"))
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
        browser.execute_script("document.getElementById('browser').scrollIntoView()")
        browser.save_screenshot(str(screenshots / "report_phone.png"))
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_registry_shows_the_champion(browser: Any, dashboard: str, screenshots: Path) -> None:
    browser.set_window_size(1400, 1000)
    browser.get(f"{dashboard}/#/models/rasd{MODEL_TRAINING}")
    shows(browser, "champion")
    _close_assistant(browser)
    browser.save_screenshot(str(screenshots / "registry.png"))
