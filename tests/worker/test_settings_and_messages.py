"""Settings from the environment, what messages tell of, lines of the log, and the health endpoint."""

from __future__ import annotations

import io
import json
import logging
import re
import secrets
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import AccessDenied, InvalidInput, MissingExtra
from ingest.worker.health import health_server
from ingest.worker.logs import Lines, log
from ingest.worker.messages import arrivals
from ingest.worker.metrics import Metrics
from ingest.worker.queue import Delivery, Queue
from ingest.worker.settings import WorkerSettings, settings_table, unknown_settings

ROOT = Path(__file__).parents[2]
NEEDED = {"LIGHTKEEP_URL": "s3://bucket/archive", "LIGHTKEEP_QUEUE": "https://sqs.eu-west-1.amazonaws.com/1/work"}


def settings(**given: str) -> WorkerSettings:
    return WorkerSettings.from_environment(
        {**NEEDED, **{f"LIGHTKEEP_{name.upper()}": text for name, text in given.items()}}
    )


def test_the_documented_table_of_settings_is_that_of_the_program() -> None:
    assert settings_table() in (ROOT / "docs/worker.md").read_text(), "put in what lightkeep worker --settings prints"


def test_settings_are_read_as_what_they_are() -> None:
    read = settings(
        jobs="9", batch_seconds="0.5", sources="s3://a/, s3://b/", store_options='{"region": "x"}', dataset=""
    )
    assert (read.jobs, read.batch_seconds, read.sources) == (9, 0.5, ("s3://a/", "s3://b/"))
    assert read.store_options == {"region": "x"}
    assert read.dataset is None  # set to nothing is not set
    assert unknown_settings({**NEEDED, "LIGHTKEEP_JOB": "1", "PATH": "/"}) == ["LIGHTKEEP_JOB"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("jobs", "many", "LIGHTKEEP_JOBS: 'many' is not a whole number"),
        ("jobs", "0", "LIGHTKEEP_JOBS: 0 is less than 1"),
        ("batch_seconds", "soon", "LIGHTKEEP_BATCH_SECONDS: 'soon' is not a number"),
        ("visibility_seconds", "90000", "LIGHTKEEP_VISIBILITY_SECONDS: a queue hides"),
        ("codec", "gzip", "LIGHTKEEP_CODEC: gzip is none of"),
        ("log_level", "loud", "LIGHTKEEP_LOG_LEVEL: loud is none of"),
        ("sources", ",", "LIGHTKEEP_SOURCES: names no start"),
        ("dataset", "../x", "x"),
        ("source_options", "[1]", "LIGHTKEEP_SOURCE_OPTIONS: its value is not a JSON object"),
        ("url", "", "the worker needs LIGHTKEEP_URL in its environment"),
    ],
)
def test_a_wrong_setting_is_named(name: str, text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(said)):
        settings(**{name: text})


def test_secrets_in_settings_are_never_shown() -> None:
    secret = secrets.token_hex(12)
    read = settings(store_options=json.dumps({"secret": secret}), source_options=json.dumps({"token": secret}))
    assert secret not in repr(read)
    with pytest.raises(InvalidInput) as caught:
        settings(store_options=f'{{"secret": "{secret}"')
    assert secret not in str(caught.value)
    assert caught.value.__cause__ is None


def test_events_that_a_real_notification_sends_are_understood(
    moto_options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bucket's own test event and events, from another implementation than the one that makes ours."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    made: dict[str, Any] = {"endpoint_url": moto_options["endpoint_url"], "region_name": "us-east-1"}
    s3, sqs = boto3.client("s3", **made), boto3.client("sqs", **made)
    name = f"landing-{secrets.token_hex(4)}"
    s3.create_bucket(Bucket=name)
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    configured = {"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]}
    s3.put_bucket_notification_configuration(Bucket=name, NotificationConfiguration=configured)
    put = s3.put_object(Bucket=name, Key="a/b.h5", Body=b"12345")
    queue = Queue(url, 30)
    bodies: list[str] = []
    for _ in range(3):
        bodies += [delivery.body for delivery in queue.receive(10, 1)]
    found = [arrival for body in bodies for arrival in arrivals(body, ("s3://",))]
    (arrival,) = found
    assert (arrival.url, arrival.size, arrival.stamp) == (f"s3://{name}/a/b.h5", 5, put["ETag"])
    assert arrival.happened is not None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["Records", "Message", "Type", "url", "s3", "object", "key", "eventName", "Event", "size"]
                ),
                inner,
            )
        ),
        max_leaves=12,
    )
)
def test_whatever_a_message_holds_it_is_understood_or_refused(told: Any) -> None:
    for body in (json.dumps(told), str(told), json.dumps({"Type": "Notification", "Message": json.dumps(told)})):
        try:
            found = arrivals(body, ("s3://",))
        except InvalidInput:
            continue
        assert all(arrival.url.startswith("s3://") for arrival in found)


@pytest.mark.parametrize("odd", ["yesterday", 5, None])
def test_an_event_whose_time_or_size_is_none_still_names_its_object(odd: Any) -> None:
    held = {"key": "a/b+c.h5", "size": odd if isinstance(odd, str) else -1, "eTag": odd}
    record = {"eventName": "ObjectCreated:Put", "eventTime": odd, "s3": {"bucket": {"name": "raw"}, "object": held}}
    (arrival,) = arrivals(json.dumps({"Records": [record]}), ("s3://",))
    assert arrival.url == "s3://raw/a/b c.h5"
    assert (arrival.size, arrival.happened) == (None, None)


def test_what_a_url_must_not_hold_is_refused_without_being_told() -> None:
    for url in ("s3://key:hidden@bucket/a.h5", "s3://bucket/a.h5?X-Amz-Signature=hidden", "s3://bucket/a::file:///b"):
        with pytest.raises(InvalidInput) as caught:
            arrivals(json.dumps({"url": url}), ("s3://",))
        assert "hidden" not in str(caught.value)


def test_waits_double_up_to_a_quarter_of_an_hour_and_end_before_the_dead_letters() -> None:
    queue = Queue("https://sqs.eu-west-1.amazonaws.com/1/work", 30)
    queue.tries = 20
    waits = [queue.wait_of(Delivery(id="i", receipt="r", body="", tries=tries), 10) for tries in range(1, 21)]
    assert waits[:4] == [10, 20, 40, 80]
    assert max(waits) == 900
    assert waits[-1] == 0
    assert queue._client.meta.region_name == "eu-west-1"


def test_a_line_of_the_log_is_one_json_object_without_secrets() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Lines())
    logger = logging.getLogger("lightkeep.worker")
    logger.addHandler(handler)
    try:
        try:
            raise ValueError("at https://user:hidden@host/x?token=hidden\nsecond line")  # noqa: TRY301
        except ValueError as error:
            log("went wrong", logging.ERROR, error=error, url="s3://key:hidden@bucket/a?sig=hidden", files=3)
    finally:
        logger.removeHandler(handler)
    (line,) = stream.getvalue().splitlines()
    told = json.loads(line)
    assert (told["event"], told["level"], told["files"], told["kind"]) == ("went wrong", "error", 3, "ValueError")
    assert "hidden" not in line


def test_health_is_told_over_http() -> None:
    state = {"live": True, "ready": False}
    metrics = Metrics("s3://b/a", "Lightkeep")

    def ask(place: str) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{place}", timeout=60) as reply:
                return int(reply.status)
        except urllib.error.HTTPError as error:
            return error.code

    with health_server("127.0.0.1", 0, lambda: state, metrics) as port:
        assert [ask(place) for place in ("/live", "/ready", "/metrics", "/else")] == [200, 503, 200, 404]
        state["ready"] = True
        assert ask("/ready?x=1") == 200
        with (
            pytest.raises(InvalidInput, match="cannot be listened on"),
            health_server("127.0.0.1", port, dict, metrics),
        ):
            pass


def test_lags_are_given_to_cloudwatch_a_hundred_at_a_time() -> None:
    metrics = Metrics("s3://b/a", "Lightkeep")
    for number in range(250):
        metrics.done("stored", 10, float(number))
    lines = [json.loads(line) for line in metrics.embedded()]
    assert [len(line["Lag"]) for line in lines] == [100, 100, 50]
    assert sum(line.get("Files", 0) for line in lines) == 250


def test_an_error_that_nobody_expected_is_one_line_with_its_trace_and_without_secrets() -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(Lines())
    logger = logging.getLogger("lightkeep.worker")
    other = logging.getLogger("some.library")
    other.setLevel(logging.WARNING)  # whatever another library asks of all
    for one in (logger, other):
        one.addHandler(handler)
    try:
        try:
            int("s3://me:hidden@host/x")
        except ValueError as error:
            log("it failed", logging.ERROR, error=error, file="s3://bucket/a.h5")
        other.warning("of another's")
    finally:
        for one in (logger, other):
            one.removeHandler(handler)
    failed, foreign = (json.loads(line) for line in out.getvalue().splitlines())
    assert (failed["level"], failed["event"], failed["kind"]) == ("error", "it failed", "ValueError")
    assert failed["file"] == "s3://bucket/a.h5"
    assert failed["error"].startswith("invalid literal for int()")
    assert "hidden" not in out.getvalue()
    assert failed["trace"][-1].startswith(f"{__file__}:")
    assert (foreign["level"], foreign["logger"]) == ("warning", "some.library")


@pytest.mark.parametrize("url", ["sqs:work", "ftp://host/work", "https:///work", ""])
def test_what_is_no_url_of_a_queue_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="is no URL of a queue; it begins with https://"):
        Queue(url, 60)


def test_a_queue_without_credentials_or_its_library_says_which_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it would know those of before
    with pytest.raises(AccessDenied, match="there are no credentials for the queue"):
        Queue("http://127.0.0.1:9/1/work", 60).depth()
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(MissingExtra, match=r"pip install 'lightkeep\[worker\]'"):
        Queue("http://127.0.0.1:9/1/work", 60)
