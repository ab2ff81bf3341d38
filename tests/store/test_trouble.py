"""Networks and servers that fail: what is repeated, what is settled, and what ends in one clear error."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from obstore import exceptions

from archive.errors import AccessDenied, Conflict, DamagedData, NotFound, ReadOnlyStore, StoreTrouble
from archive.store import Get, Store, open_store
from archive.store.backend import Transient
from archive.store.faults import Asked, translate

if TYPE_CHECKING:
    from proxy import FaultProxy

FAST = {"stall_seconds": 2.0, "max_retries": 4}
Answering = Callable[..., dict[str, Any]]


@pytest.fixture
def behind(s3_url: str, proxy_options: dict[str, Any]) -> Store:
    return open_store(s3_url, storage_options={**proxy_options, **FAST})


def error_answer(status: int, code: str, message: str = "words") -> tuple[int, dict[str, str], bytes]:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return status, {"Content-Type": "application/xml"}, body.encode()


def test_the_counters_are_what_went_over_the_wire(behind: Store, proxy: FaultProxy) -> None:
    etag = behind.create("one", b"12345")
    behind.swap("one", b"1234567", etag)
    behind.get_many([Get("one", 0, 2), Get("one")])
    behind.head("one")
    behind.entries("")
    behind.delete(["one", "two"])
    seen, counts = proxy.counts, behind.counts
    assert (seen["GET"], seen["PUT"], seen["HEAD"], seen["LIST"], seen["DELETE"]) == (2, 2, 1, 1, 1)
    assert counts.requests == seen["requests"]
    assert (counts.bytes_written, counts.bytes_read) == (12, 9)


def test_every_range_is_one_request_however_close_they_lie(behind: Store, proxy: FaultProxy) -> None:
    behind.create("body", bytes(10_000))
    proxy.zero()
    behind.get_many([Get("body", start, start + 10) for start in range(0, 1000, 10)])
    assert proxy.counts["GET"] == 100


def test_a_listing_asks_for_no_more_pages_than_needed(behind: Store, proxy: FaultProxy) -> None:
    behind.create_many([(f"page/{number:04}", b"") for number in range(1500)])
    proxy.zero()
    assert len(behind.entries("page", 10)) == 10
    assert proxy.zero()["LIST"] == 1
    before = behind.counts
    assert len(behind.entries("page")) == 1500
    assert proxy.counts["LIST"] == 2
    assert (behind.counts - before).lists == 2
    behind.delete([f"page/{number:04}" for number in range(1500)])
    assert proxy.counts["DELETE"] == 2
    assert behind.entries("page") == []


@pytest.mark.parametrize("lost", ["drop", "stall"])
def test_a_lost_answer_to_a_create_is_our_own_write(behind: Store, proxy: FaultProxy, lost: str) -> None:
    proxy.set(**{lost: 1.0}, times=1, method="PUT")
    etag = behind.create("one", b"mine")
    assert behind.get("one").etag == etag
    assert behind.counts.retries == 1


@pytest.mark.parametrize("size", [10, 2_000_000])
def test_a_lost_answer_to_a_swap_is_our_own_write(behind: Store, proxy: FaultProxy, size: int) -> None:
    first = behind.create("current", b"1")
    proxy.set(drop=1.0, times=1, method="PUT")
    body = secrets.token_bytes(size)
    etag = behind.swap("current", body, first)
    found = behind.get("current")
    assert (found.etag, bytes(found.data)) == (etag, body)


def test_a_lost_answer_does_not_hide_another_writer(
    behind: Store, proxy: FaultProxy, s3_options: dict[str, Any]
) -> None:
    other = open_store(behind.url, storage_options=s3_options)
    first = other.create("current", b"1")
    second = other.swap("current", b"2", first)
    proxy.set(drop=1.0, times=1, method="PUT")
    with pytest.raises(Conflict):
        behind.swap("current", b"mine", first)
    assert other.get("current").etag == second


@pytest.mark.parametrize(
    "fault", ["slowdown", "reset", "cut", "drop", "stall", pytest.param("freeze", marks=pytest.mark.prove)]
)
def test_what_passes_is_repeated(behind: Store, proxy: FaultProxy, fault: str) -> None:
    body = secrets.token_bytes(300_000)
    proxy.set(**{fault: 1.0}, times=1)
    etag = behind.create("one", body)
    for call in (
        lambda: behind.get("one").etag,
        lambda: behind.get_many([Get("one", 10, 200_000, etag)])[0].etag,
        lambda: next(iter(behind.stream([Get("one")])))[1].etag,
        lambda: behind.entries("")[0].etag,
        lambda: behind.head("one").etag,
    ):
        proxy.set(**{fault: 1.0}, times=1)
        assert call() == etag
    proxy.set(**{fault: 1.0}, times=1)
    behind.delete(["one"])
    proxy.set()
    assert behind.entries("") == []
    # A request that goes out on a connection just being cut is counted here, and never comes to the proxy.
    assert behind.counts.requests - proxy.counts["requests"] in {0, 1, 2}


def test_a_storm_of_faults_loses_nothing(s3_url: str, proxy_options: dict[str, Any], proxy: FaultProxy) -> None:
    store = open_store(s3_url, storage_options={**proxy_options, "stall_seconds": 1.0, "max_retries": 12})
    proxy.set(reset=0.05, slowdown=0.1, cut=0.05, drop=0.05, freeze=0.01, stall=0.01)
    objects = [(f"storm/{number:02}", secrets.token_bytes(20_000)) for number in range(60)]
    store.create_many(objects)
    found = dict(store.stream([Get(key) for key, _ in objects]))
    assert [bytes(found[number].data) for number in range(60)] == [body for _, body in objects]
    assert store.counts.requests >= proxy.counts["requests"]


@pytest.mark.parametrize("fault", ["slowdown", "reset", "cut"])
def test_what_never_passes_ends_in_one_error(
    s3_url: str, proxy_options: dict[str, Any], proxy: FaultProxy, fault: str
) -> None:
    store = open_store(s3_url, storage_options={**proxy_options, "max_retries": 2})
    store.create("one", bytes(100))
    proxy.set(**{fault: 1.0})
    before = proxy.counts["requests"]
    with pytest.raises(
        StoreTrouble, match=r"one: given up after 3 tries to read it, the last failed with: \S+"
    ) as caught:
        store.get("one")
    assert proxy.counts["requests"] - before == 3
    assert "http" not in str(caught.value)
    with pytest.raises(StoreTrouble, match="whether it was written is not known"):
        store.create("two", bytes(100))


def test_a_stalled_connection_costs_a_bounded_time(
    s3_url: str, proxy_options: dict[str, Any], proxy: FaultProxy
) -> None:
    store = open_store(s3_url, storage_options={**proxy_options, "stall_seconds": 0.5, "max_retries": 1})
    store.create("one", bytes(100))
    for fault in ("stall", "freeze"):
        proxy.set(**{fault: 1.0})
        started = time.monotonic()
        with pytest.raises(StoreTrouble, match="no progress in time"):
            store.get("one")
        assert 1.0 <= time.monotonic() - started < 60


def test_the_time_for_repeats_is_bounded(s3_url: str, proxy_options: dict[str, Any], proxy: FaultProxy) -> None:
    store = open_store(s3_url, storage_options={**proxy_options, "retry_seconds": 0.5, "max_retries": 1000})
    proxy.set(slowdown=1.0)
    started = time.monotonic()
    with pytest.raises(StoreTrouble, match="SlowDown"):
        store.get("one")
    assert time.monotonic() - started < 60


@pytest.mark.slow
def test_a_slow_line_is_no_stalled_one(s3_url: str, proxy_options: dict[str, Any], proxy: FaultProxy) -> None:
    store = open_store(s3_url, storage_options={**proxy_options, "stall_seconds": 3.0, "max_retries": 0})
    body = secrets.token_bytes(4_000_000)
    proxy.set(rate=1e6)
    started = time.monotonic()
    store.create("big", body)
    assert bytes(store.get("big").data) == body
    assert time.monotonic() - started > 7
    assert proxy.counts["requests"] == 2


def test_nobody_at_the_endpoint_is_said_soon() -> None:
    options = {"key": "a", "secret": "b", "endpoint_url": "http://127.0.0.1:9", "max_retries": 2}
    with pytest.raises(StoreTrouble, match="connection refused"):
        open_store("s3://bucket/x", storage_options=options).get("one")


def test_a_host_that_does_not_resolve_is_tried_three_times() -> None:
    options = {"key": "a", "secret": "b", "endpoint_url": "http://host.invalid"}
    store = open_store("s3://bucket/x", storage_options=options)
    with pytest.raises(StoreTrouble, match="does not resolve"):
        store.get("one")
    assert store.counts.gets == 3


def test_a_missing_bucket_is_named(s3_options: dict[str, Any]) -> None:
    store = open_store("s3://no-such-bucket/x", storage_options=s3_options)
    for call in (lambda: store.get("one"), lambda: store.entries("")):
        with pytest.raises(NotFound, match="s3://no-such-bucket/x: no such bucket"):
            call()


def test_wrong_credentials_are_refused_at_once(s3_url: str, proxy_options: dict[str, Any], proxy: FaultProxy) -> None:
    for wrong in ({"key": "nobody"}, {"secret": "s3cr3t-wrong"}):
        store = open_store(s3_url, storage_options={**proxy_options, **wrong})
        proxy.zero()
        for call in (
            lambda store=store: store.get("one"),
            lambda store=store: store.entries(""),
            lambda store=store: store.create("one", b""),
            lambda store=store: store.delete(["one"]),
        ):
            with pytest.raises(AccessDenied, match="credentials: given") as caught:
                call()
            assert "s3cr3t" not in str(caught.value)
        assert proxy.counts["requests"] == 4


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (error_answer(403, "RequestTimeTooSkewed", "clock"), AccessDenied, "403 RequestTimeTooSkewed clock"),
        (error_answer(400, "ExpiredToken", "expired"), AccessDenied, "ExpiredToken"),
        (error_answer(401, "Unauthorized"), AccessDenied, "401"),
        (error_answer(400, "InvalidArgument"), StoreTrouble, "another region"),
        (error_answer(301, "PermanentRedirect"), StoreTrouble, "another region"),
        (error_answer(404, "NoSuchBucket"), NotFound, "no such bucket"),
        (error_answer(416, "InvalidRange"), DamagedData, "shorter"),
        (error_answer(418, "Teapot"), StoreTrouble, "418 Teapot"),
    ],
)
def test_what_cannot_pass_is_not_repeated(
    answering: Answering, answer: Any, error: type[Exception], words: str
) -> None:
    seen: list[Any] = []
    store = open_store("s3://bucket/x", storage_options=answering(answer, seen=seen))
    with pytest.raises(error, match=words):
        store.get("one")
    assert len(seen) == 1


@pytest.mark.parametrize(
    "answer", [error_answer(400, "RequestTimeout"), error_answer(429, "TooMany"), error_answer(500, "")]
)
def test_servers_out_of_breath_are_asked_again(answering: Answering, answer: Any) -> None:
    found = (200, {"ETag": '"e"', "Last-Modified": "Sat, 21 Nov 2026 04:41:26 GMT"}, b"body")
    store = open_store("s3://bucket/x", storage_options=answering(answer, answer, found))
    assert bytes(store.get("one").data) == b"body"
    assert store.counts.retries == 2


def test_a_body_shorter_than_its_range_is_read_again(answering: Answering) -> None:
    stamps = {"ETag": '"e"', "Last-Modified": "Sat, 21 Nov 2026 04:41:26 GMT"}
    short = (206, {**stamps, "Content-Range": "bytes 0-3/100"}, b"12")
    whole = (206, {**stamps, "Content-Range": "bytes 0-3/100"}, b"1234")
    store = open_store("s3://bucket/x", storage_options=answering(short, whole))
    assert bytes(store.get_many([Get("one", 0, 4)])[0].data) == b"1234"


def test_a_conflict_with_nothing_there_is_put_again(answering: Answering) -> None:
    conflict = error_answer(409, "ConditionalRequestConflict")
    missing = error_answer(404, "NoSuchKey")
    put = (200, {"ETag": '"new"'}, b"")
    store = open_store("s3://bucket/x", storage_options=answering(conflict, missing, conflict, missing, put))
    assert store.create("one", b"mine") == '"new"'


def test_a_conflict_with_nothing_there_for_ever_is_given_up(answering: Answering) -> None:
    answers = [error_answer(409, "ConditionalRequestConflict"), error_answer(404, "NoSuchKey")] * 20
    options = {**answering(*answers), "stall_seconds": 0.5}
    with pytest.raises(StoreTrouble, match="though its condition holds"):
        open_store("s3://bucket/x", storage_options=options).create("one", b"mine")


def test_a_swap_that_meets_its_own_etag_is_sent_again(answering: Answering) -> None:
    found = (200, {"ETag": '"old"', "Last-Modified": "Sat, 21 Nov 2026 04:41:26 GMT"}, b"before")
    put = (200, {"ETag": '"new"'}, b"")
    options = answering(error_answer(409, "ConditionalRequestConflict"), found, put)
    assert open_store("s3://bucket/x", storage_options=options).swap("one", b"mine", '"old"') == '"new"'


def test_a_store_without_conditional_writes_is_read_only(answering: Answering) -> None:
    options = answering(error_answer(501, "NotImplemented", "A header you provided is not implemented"))
    with pytest.raises(ReadOnlyStore, match="conditional writes"):
        open_store("s3://bucket/x", storage_options=options).create("one", b"mine")


def test_answers_are_quoted_without_secrets(answering: Answering) -> None:
    words = "see https://user:pass@host/x?X-Amz-Signature=abc123 with Authorization: AWS4-hmac"
    options = answering(error_answer(418, "Odd", words))
    with pytest.raises(StoreTrouble) as caught:
        open_store("s3://bucket/x", storage_options=options).get("one")
    for secret in ("user", "pass", "abc123", "AWS4-hmac"):
        assert secret not in str(caught.value)


@pytest.mark.parametrize(
    ("failure", "meaning", "words"),
    [
        (exceptions.GenericError("Error performing PUT http://169.254.169.254/latest"), AccessDenied, "no credentials"),
        (exceptions.NotSupportedError("no ranges"), StoreTrouble, "cannot do that"),
        (exceptions.GenericError("Generic S3 error - HTTP error: builder error"), StoreTrouble, "not an address"),
        (exceptions.GenericError("Received redirect without LOCATION"), StoreTrouble, "another region"),
        (exceptions.GenericError("Generic Config error: what is this"), StoreTrouble, "settings"),
        (exceptions.GenericError("x - Server: status code: 409 Conflict:"), Conflict, "changed meanwhile"),
        (exceptions.GenericError("x - Server: status code: 404 Not Found:"), NotFound, "no such object or bucket"),
        (exceptions.GenericError("x - something new"), Transient, "something new"),
    ],
)
def test_failures_that_servers_here_do_not_show_are_understood(
    failure: Exception, meaning: type[Exception], words: str
) -> None:
    asked = Asked(action="read", place="s3://b/x/one", store="s3://b/x", credentials="environment")
    found = translate(failure, asked)
    assert isinstance(found, meaning)
    assert words in str(found)
