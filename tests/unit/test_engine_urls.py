"""Engine URLs as an operator writes them."""

from __future__ import annotations

import pytest

from serving.adapters.engines.directory import parse_url
from serving.errors import SettingsError


@pytest.mark.parametrize(
    ("written", "id_", "url"),
    [
        ("http://10.0.0.5:8000", "10.0.0.5:8000", "http://10.0.0.5:8000"),
        ("http://10.0.0.5:8000/v1/", "10.0.0.5:8000", "http://10.0.0.5:8000"),
        ("10.0.0.5:8000", "10.0.0.5:8000", "http://10.0.0.5:8000"),
        ("https://models.test/eu/v1", "models.test:443/eu", "https://models.test:443/eu"),
        ("http://[::1]:8000", "[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_a_url_names_one_engine(written: str, id_: str, url: str) -> None:
    endpoint = parse_url("front.engines", written)
    assert (endpoint.id, endpoint.url) == (id_, url)


@pytest.mark.parametrize("written", ["", "ftp://x", "http://", "http://x:port", "http://x:99999"])
def test_what_is_no_engine_url_names_the_setting(written: str) -> None:
    with pytest.raises(SettingsError, match=r"^front\.engines: "):
        parse_url("front.engines", written)


def test_two_paths_of_one_host_are_two_engines() -> None:
    assert parse_url("k", "http://gateway/a").id != parse_url("k", "http://gateway/b").id
