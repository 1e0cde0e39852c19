"""Endpoints as the operator writes them."""

from __future__ import annotations

import pytest

from routed.model.etcd import Endpoint, parse_endpoint


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("https://192.0.2.1:2379", Endpoint("192.0.2.1", 2379, is_encrypted=True)),
        ("http://etcd.example.org", Endpoint("etcd.example.org")),
        ("https://[2001:db8::1]:23790/", Endpoint("2001:db8::1", 23790, is_encrypted=True)),
        ("http://[2001:db8::1]", Endpoint("2001:db8::1")),
    ],
)
def test_an_endpoint_is_a_scheme_a_host_and_perhaps_a_port(text: str, endpoint: Endpoint) -> None:
    assert parse_endpoint(text) == endpoint
    assert parse_endpoint(str(endpoint)) == endpoint


@pytest.mark.parametrize(
    "text",
    [
        "", "192.0.2.1:2379", "ftp://h", "https://", "https://:1", "https://h:0", "https://h:65536", "https://h:x",
        "https://h/v3", "https://u@h", "https://2001:db8::1", "https://[::1", "https://[::1]x", "http://h\n", "http://h:",
    ],
)  # fmt: skip
def test_whatever_else_is_written_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no endpoint"):
        parse_endpoint(text)
