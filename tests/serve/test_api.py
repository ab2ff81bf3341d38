"""What the page's server answers: the samples that are there, clear errors, and nothing to those it does not expect."""

from __future__ import annotations

import http.client
import json
import re
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from frame_sets import SHAPE, astropy_pixels, new_archive, write_set
from shown import CHANNELS, FIBRE, FRAMES, QUICK, START, STEP, Shown, serving
from waiting import PATIENCE, until

from archive.errors import InvalidInput
from archive.store import open_store
from ingest.keeping.remove import remove
from ingest.run import ingest
from ingest.serve import waterfall
from ingest.serve.describing import without_secrets
from ingest.serve.reducing import reduced
from ingest.serve.server import PageServer

if TYPE_CHECKING:
    from pathlib import Path

    from proxy import FaultProxy

END = START + 8500 * STEP


def ask(server: PageServer, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        reply = connection.getresponse()
        return reply.status, dict(reply.getheaders()), reply.read()
    finally:
        connection.close()


def told(server: PageServer, path: str) -> Any:
    status, _, body = ask(server, path)
    assert status == 200, body
    return json.loads(body)


def state(server: PageServer) -> str:
    found: str = told(server, "/api/archive")["state"]
    return found


def tile(server: PageServer, path: str) -> tuple[dict[str, Any], np.ndarray[Any, Any]]:
    status, headers, body = ask(server, path)
    assert status == 200, body
    assert "immutable" in headers["Cache-Control"]
    (length,) = struct.unpack("<I", body[:4])
    head = json.loads(body[4 : 4 + length])
    return head, np.frombuffer(body[4 + length :], "<f4").reshape(head["rows"], head["columns"])


def fibre_tile(server: PageServer, **wanted: Any) -> tuple[dict[str, Any], np.ndarray[Any, Any]]:
    said = "&".join(f"{name}={value}" for name, value in wanted.items())
    return tile(server, f"/api/tile?state={state(server)}&dataset={FIBRE}&{said}")


def expected(shown: Shown, level: int, column: int, *, rows: int, row: int, how: str) -> np.ndarray[Any, Any]:
    """Return a tile pixel by pixel from the samples as they were written; only for columns wider than a step."""
    truth, width = shown.truth(), 1 << level
    lines = min(256, -(-CHANNELS // (1 << rows)) - row * 256)
    out = np.full((lines, 256), -np.inf)
    for place in range(256):
        low = (column * 256 + place) * width
        first = -(-low // STEP) * STEP
        held = [truth[stamp] for stamp in range(first, low + width, STEP) if stamp in truth]
        if not held:
            continue
        for line in range(lines):
            channels = slice((row * 256 + line) << rows, (row * 256 + line + 1) << rows)
            values = np.array([one[channels] for one in held], dtype=np.float64)
            columns = [column[np.isfinite(column)] for column in values.T]
            if how == "mean":  # first along time, then of the channels
                means = [column.mean() for column in columns if len(column)]
                out[line, place] = np.mean(means) if means else np.nan
                continue
            flat = np.concatenate(columns)
            out[line, place] = flat[np.argmax(np.abs(flat))] if len(flat) else np.nan
    return out


@pytest.mark.parametrize(
    ("level", "rows", "row", "how"), [(24, 0, 0, "peak"), (24, 0, 1, "peak"), (25, 1, 0, "peak"), (26, 2, 0, "mean")]
)
def test_a_tile_shows_what_the_files_hold(
    page: PageServer, shown: Shown, *, level: int, rows: int, row: int, how: str
) -> None:
    column = START // (256 << level)
    for number in (column, column + 1):
        head, found = fibre_tile(page, level=level, x=number, rows=rows, y=row, reduce=how)
        assert head["read"] == 1
        wanted = expected(shown, level, number, rows=rows, row=row, how=how)
        np.testing.assert_array_equal(np.isneginf(found), np.isneginf(wanted))
        np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
        there = np.isfinite(wanted)
        assert there.any()
        np.testing.assert_allclose(found[there], wanted[there], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["i2", "f4", "f8", "u1"])
@pytest.mark.parametrize("starts", [[0, 3, 6, 9, 12, 15], [0, 1, 7, 8], [2, 5, 16], [0]])
def test_groups_are_reduced_along_either_axis(dtype: str, starts: list[int]) -> None:
    samples = np.random.default_rng(7).integers(-(1 << 15), 1 << 15, (17, 17)).astype(dtype)
    if dtype != "u1":
        samples[3] = -(1 << 15)  # whose absolute value no int16 can hold
    if samples.dtype.kind == "f":
        samples[5:9, 4:12] = np.nan
    groups = [samples[a:b].astype(float) for a, b in zip(starts, [*starts[1:], 17], strict=True)]
    for axis in (0, 1):
        turned = np.moveaxis(samples, 0, axis)
        peaks, means = (reduced(turned, np.array(starts), axis, how) for how in ("peak", "mean"))
        for number, group in enumerate(groups):
            for channel in range(17):
                values = group[:, channel][np.isfinite(group[:, channel])]
                peak, mean = (np.moveaxis(one, axis, 0)[number, channel] for one in (peaks, means))
                wanted = (values[np.argmax(np.abs(values))], values.mean()) if len(values) else (np.nan, np.nan)
                np.testing.assert_allclose([abs(peak), mean], [abs(wanted[0]), wanted[1]], rtol=1e-6)


def test_narrow_columns_show_the_nearest_sample_and_end_where_the_gap_begins(page: PageServer, shown: Shown) -> None:
    level = 16  # 65 536 ns: about 15 columns to a sample
    last = START + 3999 * STEP
    number = last // (256 << level)
    _, found = fibre_tile(page, level=level, x=number, rows=0, y=0)
    middles = (number * 256 + np.arange(256)) * (1 << level) + (1 << level) // 2
    truth = shown.truth()
    for place, middle in enumerate(middles.tolist()):
        nearest = START + round((middle - START) / STEP) * STEP
        if nearest in truth:
            np.testing.assert_array_equal(found[:, place], truth[nearest][:256])
        else:
            assert np.isneginf(found[:, place]).all()
    assert np.isneginf(found).any()
    assert np.isfinite(found).any()


def test_a_tile_that_is_too_much_to_read_says_what_part_it_read(
    page: PageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    level, column = 26, START // (256 << 26)
    _, whole = fibre_tile(page, level=level, x=column, rows=1, y=0)
    monkeypatch.setattr(waterfall, "_BYTES", 1 << 16)
    head, some = fibre_tile(page, level=level, x=column, rows=1, y=0)
    assert 0 < head["read"] < 0.9
    np.testing.assert_array_equal(np.isneginf(some), np.isneginf(whole))  # gaps are those of the index, to the pixel
    there = np.isfinite(some) & np.isfinite(whole)
    assert there.sum() > 0.8 * np.isfinite(whole).sum()
    assert np.nanmax(np.abs(some[there])) <= np.nanmax(np.abs(whole[there]))


def test_the_archive_and_its_datasets_are_told(page: PageServer, shown: Shown) -> None:
    archive = told(page, "/api/archive")
    assert archive["url"] == shown.store.url
    kinds = {one["name"]: one for one in archive["datasets"]}
    assert {name: one["kind"] for name, one in kinds.items()} == {FIBRE: "samples", FRAMES: "frames"}
    assert kinds[FIBRE]["first"] == str(START)
    assert kinds[FIBRE]["last"] == str(END - STEP)
    info = told(page, f"/api/dataset?state={archive['state']}&dataset={FIBRE}")
    assert (info["widths"], info["step"], info["vertical"]["size"]) == ([CHANNELS], str(STEP), CHANNELS)
    assert len(info["vertical"]["values"]) == CHANNELS


def test_coverage_tells_gaps_and_overlaps_to_the_nanosecond(page: PageServer) -> None:
    found = told(page, f"/api/coverage?state={state(page)}&dataset={FIBRE}&from={START}&to={END}&bins=17")
    gap = [str(START + 3999 * STEP), str(START + 5500 * STEP)]
    assert (found["gaps"], found["gap_count"], found["missing_ns"]) == ([gap], 1, str(1500 * STEP))
    assert found["overlaps"] == [[str(START + 6500 * STEP), str(START + 7499 * STEP)]]
    assert found["overlaps_exact"]
    assert found["bins"] == [1.0] * 8 + [0.0] * 3 + [1.0] * 6
    part = told(page, f"/api/coverage?state={state(page)}&dataset={FIBRE}&from={START}&to={START + 1000}&bins=4")
    assert (part["gap_count"], part["overlap_count"], part["bins"]) == (0, 0, [1.0] * 4)


def test_a_million_runs_make_a_small_answer() -> None:
    from ingest.serve.coverage import covered, gaps
    from ingest.serve.pinned import Spans

    first = np.arange(1_000_000, dtype=np.int64) * 10**10
    spans = Spans(first, first + 4 * 10**9, 10**9)
    began = time.perf_counter()
    edges = np.linspace(0, 10**16, 513).astype(np.int64)
    np.testing.assert_allclose(covered(spans, edges), 0.5, atol=1e-3)
    listed, count, missing = gaps(spans, 0, 10**16)
    assert (len(listed), count, missing) == (200, 999_999, 999_999 * 5 * 10**9)
    assert time.perf_counter() - began < 30


def test_an_image_is_that_of_the_file(page: PageServer, shown: Shown) -> None:
    token = state(page)
    for stokes, step in ((0, 0), (1, 3)):
        asked = f"state={token}&dataset={FRAMES}&at={stokes},{step}"
        truth = astropy_pixels(shown.folder / "frames" / f"VISP_{stokes}_{step:02}.fits")[0]
        _, found = tile(page, f"/api/frame-tile?{asked}&level=0&x=0&y=0")
        np.testing.assert_array_equal(found, truth)
        _, half = tile(page, f"/api/frame-tile?{asked}&level=1&x=0&y=0&reduce=mean")
        blocks = truth.astype(float).reshape(SHAPE[2] // 2, 2, SHAPE[3] // 2, 2).mean(axis=(1, 3))
        np.testing.assert_allclose(half, blocks, rtol=1e-6)
        info = told(page, f"/api/frame?{asked}")
        assert info["files"] == [f"VISP_{stokes}_{step:02}.fits"]
        assert info["header"]["DINDEX3"] == step + 1
        wavelength = next(axis for axis in info["axes"] if axis["type"] == "em.wl")
        np.testing.assert_allclose(wavelength["values"], 630 + 0.01 * np.array(wavelength["pixels"]), rtol=1e-9)


def test_the_quarantine_is_told_without_secrets(page: PageServer) -> None:
    found = told(page, f"/api/quarantine?state={state(page)}")
    assert (found["count"], found["open"]) == (1, 1)
    assert found["reports"][0]["url"].endswith("cut.h5")
    from ingest.serve.describing import without_secrets

    text = "https://me:pass@host/x.h5?X-Amz-Signature=abc: damaged; see s3://key:word@bucket/y"
    assert without_secrets(text) == "https://host/x.h5?... damaged; see s3://bucket/y"


BAD = {
    "/api/dataset": (400, "state: missing"),
    "/api/dataset?state=no&dataset=x": (404, "no longer held"),
    "/api/dataset?state={}&dataset=none": (404, "no such dataset"),
    "/api/dataset?state={}&dataset=fibre&dataset=raster": (400, "given twice"),
    "/api/archive?more=1": (400, "no such parameter"),
    "/api/archive?%zz;": (400, "query"),
    "/api/coverage?state={}&dataset=fibre&from=1&to=1": (400, "after from"),
    "/api/coverage?state={}&dataset=fibre&from=1.5&to=2": (400, "whole number"),
    "/api/coverage?state={}&dataset=fibre&from=0&to=9999999999999999999": (400, "whole number"),
    "/api/coverage?state={}&dataset=fibre&from=0&to=9&bins=5000": (400, "bins"),
    "/api/tile?state={}&dataset=fibre&level=55&x=0": (400, "level"),
    "/api/tile?state={}&dataset=fibre&level=54&x=99": (400, "1678"),
    "/api/tile?state={}&dataset=fibre&level=20&x=0&reduce=median": (400, "peak, mean"),
    "/api/tile?state={}&dataset=fibre&level=24&x=0&y=9": (400, "channels"),
    "/api/tile?state={}&dataset=raster&level=24&x=0": (400, "frames"),
    "/api/tile?state={}&dataset=fibre&level=24": (400, "x: missing; wanted a whole number"),
    "/api/frame?state={}&dataset=fibre&at=0": (400, "no dataset of frames"),
    "/api/frame?state={}&dataset=raster&at=0": (400, "wanted 2 numbers"),
    "/api/frame?state={}&dataset=raster&at=0,5": (400, "wanted 2 numbers"),
    "/api/frame?state={}&dataset=raster&at=0,-1": (400, "commas"),
    "/api/frame?state={}&dataset=raster&at=0,1&cube=1": (400, "counted from 0"),
    "/api/frame-tile?state={}&dataset=raster&at=0,1&level=0&x=1&y=0": (400, "outside"),
    "/api/nothing": (404, "nothing at this address"),
    "/../pyproject.toml": (404, "nothing at this address"),
    "/%2e%2e/%2e%2e/etc/passwd": (404, "nothing at this address"),
    "/page/../server.py": (404, "nothing at this address"),
}


def test_far_from_every_sample_a_tile_is_empty(page: PageServer) -> None:
    head, found = fibre_tile(page, level=24, x=START // (256 << 24) - 1000)
    assert head["read"] == 1
    assert np.isneginf(found).all()


def test_frames_have_no_gaps_in_time(page: PageServer) -> None:
    asked = f"/api/coverage?state={state(page)}&dataset={FRAMES}&from={START}&to={END}"
    assert told(page, asked)["gaps"] == []


def test_a_frame_that_is_missing_is_said_to_be_and_its_picture_is_empty(tmp_path: Path) -> None:
    paths = write_set(tmp_path / "frames")
    paths[7].unlink()  # Stokes 1, step 2
    store = new_archive(f"memory://page-{secrets.token_hex(6)}")
    ingest(store, [str(tmp_path / "frames")])
    with serving(store, host="localhost") as server:
        assert server.url == f"http://127.0.0.1:{server.port}/"
        of = f"state={state(server)}&dataset=TESTED&at=1,2"
        info = told(server, f"/api/frame?{of}")
        assert (info["missing"], info["files"], info["frames"], info["header"]) == (True, [], 0, {})
        _, found = tile(server, f"/api/frame-tile?{of}&level=0&x=0&y=0")
        assert found.shape == SHAPE[2:]
        assert np.isneginf(found).all()
        assert told(server, f"/api/quarantine?state={state(server)}") == {
            "listed": True, "count": 0, "open": 0, "reports": [],
        }  # fmt: skip
    remove(store, "TESTED", 0, 1 << 62)
    with serving(store) as server:
        info = told(server, f"/api/dataset?state={state(server)}&dataset=TESTED")
        assert (info["instrument"], info["cubes"]) == ("VISP", [])


def test_the_secrets_in_urls_are_not_shown() -> None:
    said = "s3://me:hidden@host/a.h5 and https://host/b.h5?sig=hidden, abfs://box@account/c, http://[hidden"
    shown = without_secrets(said)
    assert "hidden" not in shown
    assert shown == "s3://host/a.h5 and https://host/b.h5?... abfs://box@account/c, (a URL)"


@pytest.mark.parametrize("path", BAD)
def test_what_is_asked_wrongly_is_a_clear_error(page: PageServer, path: str) -> None:
    status, headers, body = ask(page, path.replace("{}", state(page)))
    wanted, words = BAD[path]
    said = json.loads(body)
    assert (status, headers["Content-Type"]) == (wanted, "application/json; charset=utf-8")
    assert words in said["error"]
    assert not said["retry"]
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{}", "127.0.0.1:1", "127.0.0.1", "localhost", "", "8.8.8.8:{}", "[::1", "a:b"],
)
def test_another_host_is_answered_nothing(page: PageServer, host: str) -> None:
    for path in ("/", "/api/archive"):
        status, _, body = ask(page, path, Host=host.replace("{}", str(page.port)))
        assert status == 421, host
        assert b"Host" in body


def test_its_own_names_are_answered(page: PageServer, shown: Shown) -> None:
    for host in (f"127.0.0.1:{page.port}", f"localhost:{page.port}", f"LOCALHOST:{page.port}", f"[::1]:{page.port}"):
        assert ask(page, "/", Host=host)[0] == 200, host
    with serving(shown.store, host="0.0.0.0", names=("data.example",)) as server:  # noqa: S104 - what is tested
        assert ask(server, "/", Host=f"192.168.1.7:{server.port}")[0] == 200
        assert ask(server, "/", Host="data.example")[0] == 200
        assert ask(server, "/", Host="other.example")[0] == 421


def test_a_browser_leaves_out_the_port_of_http(page: PageServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "port", 80)
    assert all(page.expects(host) for host in ("127.0.0.1", "localhost", "[::1]", "127.0.0.1:80", "localhost:80"))
    assert not any(page.expects(host) for host in ("127.0.0.1:81", "evil.example", "8.8.8.8"))


def test_another_site_is_answered_nothing(page: PageServer) -> None:
    for site in ("cross-site", "same-site"):
        assert ask(page, "/api/archive", Sec_Fetch_Site=site)[0] == 403
    assert ask(page, "/api/archive", Sec_Fetch_Site="same-origin")[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "BREW"])
def test_nothing_but_get_is_answered(page: PageServer, method: str) -> None:
    status, headers, _ = ask(page, "/api/archive", method)
    assert (status, headers["Allow"]) == (405, "GET")


def test_every_answer_has_the_headers_that_keep_the_page_to_itself(page: PageServer) -> None:
    for path in ("/", "/app.js", "/api/archive", "/nothing"):
        _, headers, body = ask(page, path)
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "Access-Control-Allow-Origin" not in headers
        if path == "/":
            assert not re.search(rb"<script(?![^>]*src=)|<style|style=|\son\w+=|https?://", body)


def test_what_is_no_http_is_refused(page: PageServer) -> None:
    for request in (
        b"\x16\x03\x01\x02\x00\n\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", page.port), timeout=PATIENCE) as end:
            end.sendall(request)
            assert re.match(rb"HTTP/1\.\d 4\d\d ", end.recv(4096))


def test_what_nobody_waits_for_any_more_is_not_read(page: PageServer) -> None:
    token = state(page)
    for _ in range(4):
        page.reading.acquire()
    try:
        before = set(threading.enumerate())
        end = socket.create_connection(("127.0.0.1", page.port), timeout=PATIENCE)
        end.sendall(f"GET /api/quarantine?state={token} HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\n\r\n".encode())
        handlers = until(lambda: set(threading.enumerate()) - before)
        end.close()
        assert until(lambda: not any(thread.is_alive() for thread in handlers))
    finally:
        page.reading.release(4)


def test_a_store_that_fails_says_so_and_works_again(
    shown_on_s3: str, proxy: FaultProxy, proxy_options: dict[str, Any]
) -> None:
    store = open_store(shown_on_s3, storage_options={**proxy_options, **QUICK})
    with serving(store) as server:
        token = state(server)
        path = f"/api/tile?state={token}&dataset={FIBRE}&level=24&x={START // (256 << 24)}"
        proxy.set(slowdown=1.0)
        for asked in ("/api/archive", path):
            status, headers, body = ask(server, asked)
            said = json.loads(body)
            assert (status, said["kind"], said["retry"]) == (503, "StoreTrouble", True)
            assert headers["Cache-Control"] == "no-store"
            assert proxy_options["secret"] not in str(said)
        proxy.set()
        assert ask(server, path)[0] == 200
        logged = "".join(server.lines)  # type: ignore[attr-defined]
        assert "/api/tile" in logged
        assert not any(word in logged for word in (proxy_options["secret"], "Signature", token))


def test_a_store_that_refuses_says_so_without_the_secret(shown_on_s3: str, s3_options: dict[str, Any]) -> None:
    options = {**s3_options, "secret": "not-the-secret-0123456789", **QUICK}
    with serving(open_store(shown_on_s3, storage_options=options)) as server:
        status, _, body = ask(server, "/api/archive")
        assert (status, json.loads(body)["kind"]) == (502, "AccessDenied")
        assert b"not-the-secret" not in body
        assert "not-the-secret" not in "".join(server.lines)  # type: ignore[attr-defined]


def test_a_damaged_object_is_named(shown: Shown, tmp_path: Path) -> None:
    copy = tmp_path / "archive"
    shutil.copytree(shown.folder / "archive", copy)
    for granule in (copy / "data" / FIBRE).glob("*.zarr/data/c/*/*"):
        body = bytearray(granule.read_bytes())
        body[len(body) // 3] ^= 4
        granule.write_bytes(body)
    with serving(open_store(str(copy))) as server:
        asked = f"/api/tile?state={state(server)}&dataset={FIBRE}&level=26&rows=1&x={START // (256 << 26)}"
        status, _, body = ask(server, asked)
        said = json.loads(body)
        assert (status, said["kind"]) == (502, "DamagedData")
        assert ".zarr/data" in said["error"]


def test_an_address_in_use_is_an_error_that_says_so(page: PageServer, shown: Shown) -> None:
    with pytest.raises(InvalidInput, match="--port"):
        PageServer(shown.store, port=page.port)


def test_the_command_serves_until_it_is_interrupted(shown: Shown) -> None:
    command = [sys.executable, "-m", "ingest", "serve", str(shown.folder / "archive"), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        text = ""
        while not text.rstrip().endswith("}"):
            line = process.stdout.readline()
            assert line, process.stderr.read() if process.stderr else ""
            text += line
        url = json.loads(text)["url"]
        connection = http.client.HTTPConnection(url.removeprefix("http://").rstrip("/"), timeout=PATIENCE)
        connection.request("GET", "/")
        assert b"<title>Lightkeep</title>" in connection.getresponse().read()
        connection.close()
        process.send_signal(signal.SIGINT)
        _, trouble = process.communicate(timeout=PATIENCE)
        assert (process.returncode, trouble) == (0, "")


def test_what_is_no_archive_is_said_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ingest", "serve", str(tmp_path), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 2
    assert "is no archive" in done.stderr
