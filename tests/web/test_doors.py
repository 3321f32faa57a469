"""Who may come in, and what stays shut."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from darkroom.web.headers import HEADERS
from darkroom.web.server import host_names
from tests.web.conftest import ADDRESS, House


@pytest.mark.parametrize("host", ["127.0.0.1:6006", "localhost:6006", "LOCALHOST", "192.168.1.20:6006", "[::1]:6006"])
def test_addresses_and_own_names_are_answered(host: str, empty_client: TestClient) -> None:
    assert empty_client.get("/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "evil@127.0.0.1", "", "[::1", "0x7f.1"]
)
@pytest.mark.parametrize("path", ["/", "/health", "/api/history", "/gradio_api/run/predict", "/config"])
def test_any_other_host_name_is_refused(host: str, path: str, empty_client: TestClient) -> None:
    assert empty_client.get(path, headers={"host": host}).status_code == 421


def test_a_name_given_in_the_settings_is_answered() -> None:
    assert {"studio.lan", "studio.example.org"} <= set(host_names("studio.lan", "studio.example.org"))


def test_a_refused_name_is_told_where_names_are_given(empty_client: TestClient) -> None:
    answer = empty_client.get("/", headers={"host": "studio.example.org"})
    assert "server.names in config.yaml" in answer.text


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:7777", "http://localhost:6006", "x"]
)
@pytest.mark.parametrize("path", ["/api/jobs/1/stop", "/gradio_api/run/predict", "/gradio_api/queue/join"])
def test_another_pages_post_is_refused(origin: str, path: str, empty_client: TestClient) -> None:
    assert empty_client.post(path, json={}, headers={"origin": origin}).status_code == 403


def test_a_cross_site_post_without_origin_is_refused(empty_client: TestClient) -> None:
    assert empty_client.post("/api/jobs/1/stop", headers={"sec-fetch-site": "cross-site"}).status_code == 403


def test_the_own_pages_post_and_a_programs_post_are_answered(empty_client: TestClient) -> None:
    assert empty_client.post("/api/jobs/1/stop", headers={"origin": ADDRESS}).status_code == 404
    assert empty_client.post("/api/jobs/1/stop").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=http://127.0.0.1:6006/health",
        "/gradio_api/file=https://example.org/",
        "/gradio_api/file/etc/passwd",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/proxy=https://example.org/",
        "/gradio_api/process_recording",
        "/gradio_api/upload",
        "/gradio_api/upload_progress",
        "/gradio_api/component_server",
        "/gradio_api/openapi.json",
        "/gradio_api/runs",
        "/gradio_api/run-history/buckets",
        "/gradio_api/custom_component/1/empty_client/component/x.js",
        "/gradio_api/vibe-edit",
        "/gradio_api/vibe-code",
        "/gradio_api/dev/reload",
        "/gradio_api/deep_link",
        "/gradio_api/heartbeat/x",
        "/gradio_api/queue/status",
        "/gradio_api/queue/join/",
        "/gradio_api/cancel",
        "/gradio_api/reset",
        "/gradio_api/queue/data?session_hash=x",
        "/gradio_api/startup-events",
        "/gradio_api/run/predict/",
        "/gradio_api//run/predict",
        "/gradio_api/call/generate",
        "/gradio_api/api/predict",
        "/gradio_api",
        "/monitoring",
        "/monitoring/summary",
        "/login",
        "/docs",
        "/redoc",
        "/openapi.json",
        "/static/../secret.txt",
        "/static/..%2f..%2fsecret.txt",
        "/assets/%2e%2e/%2e%2e/secret.txt",
        "/static/..%5c..%5csecret.txt",
        "/file=/etc/passwd",
        "/proxy=https://example.org/",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_shut_routes_stay_shut(method: str, path: str, empty_client: TestClient) -> None:
    answer = empty_client.request(method, path)
    assert answer.status_code in (404, 405)
    assert "secret" not in answer.text


@pytest.mark.parametrize("path", ["/", "/health", "/api/history", "/api/jobs/9", "/mark.svg", "/nothing-here"])
def test_every_answer_carries_the_security_headers(path: str, empty_client: TestClient) -> None:
    headers = empty_client.get(path).headers
    assert {name: headers.get(name) for name in HEADERS} == HEADERS


def test_the_content_policy_names_no_other_host() -> None:
    assert "http" not in HEADERS["Content-Security-Policy"]
    assert "*" not in HEADERS["Content-Security-Policy"]


def test_the_page_asks_for_no_history_of_runs_and_shows_no_errors_of_gradio(empty_client: TestClient) -> None:
    config = empty_client.get("/config").json()
    assert not config.get("run_history")
    assert not config["show_error"]
    assert not config["analytics_enabled"]
    assert config["footer_links"] == []


def test_gradios_own_cache_lies_in_the_history_folder_and_is_wiped_at_the_start(tmp_path: Path) -> None:
    old = tmp_path / ".gradio" / "old"
    old.mkdir(parents=True)
    House(tmp_path).database.close()
    assert not old.exists()
