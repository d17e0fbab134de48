import pytest

from tests.records.file_server import run_file_server


@pytest.fixture
def server():
    with run_file_server() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    for name in ("ADM_OFFLINE", "ADM_MIRROR", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
