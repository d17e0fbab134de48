"""The folder of published files."""

from pathlib import Path

from eval.networks.weights import get_cache_folder as of_the_evaluator
from records.cache import get_cache_folder


def test_it_follows_xdg_and_is_the_evaluators(monkeypatch, tmp_path):
    for value, expected in (
        (str(tmp_path), tmp_path / "adm-tables"),
        ("relative", Path.home() / ".cache" / "adm-tables"),
        ("", Path.home() / ".cache" / "adm-tables"),
    ):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert get_cache_folder() == of_the_evaluator() == expected
