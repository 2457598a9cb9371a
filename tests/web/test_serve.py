"""Listening on an address of this machine, and giving it back."""

import socket

import pytest
from starlette.applications import Starlette

from forestall.domain.errors import InputError
from forestall.web.serve import serving


def test_a_taken_address_says_what_to_do():
    with (
        serving(Starlette(), "127.0.0.1", 0) as url,
        pytest.raises(InputError, match=r"Cannot listen on 127\.0\.0\.1:\d+: .*choose another port: --bind"),
        serving(Starlette(), "127.0.0.1", int(url.rstrip("/").rpartition(":")[2])),
    ):
        pass


def test_an_address_that_is_not_ours_is_named():
    with pytest.raises(InputError, match="Cannot listen on no host:1"), serving(Starlette(), "no host", 1):
        pass


def test_an_address_is_free_again_afterwards():
    with serving(Starlette(), "127.0.0.1", 0) as url:
        port = int(url.rstrip("/").rpartition(":")[2])
    socket.create_server(("127.0.0.1", port)).close()
