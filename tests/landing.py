"""A landing bucket, a queue with its dead letters, an archive, and workers for them."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

import boto3
import numpy as np
from small import raw, rows_of, samples
from waiting import in_a_thread

import archive as lk
from archive.errors import DamagedData
from archive.store import Store, open_store
from archive.view import open_view
from ingest.initialise import initialise
from ingest.run import read_ledger
from ingest.worker import Worker, WorkerReport, WorkerSettings
from ingest.worker.metrics import Metrics
from ingest.worker.queue import Queue

if TYPE_CHECKING:
    from ingest.server import LocalS3

TRIES = 3


@dataclass
class Scene:
    """What a worker works with; everything of one test has names of its own."""

    server: LocalS3
    moto: str
    folder: Path
    name: str = field(default_factory=lambda: secrets.token_hex(4))

    def __post_init__(self) -> None:
        self.options = {"key": self.server.key, "secret": self.server.secret, "endpoint_url": self.server.endpoint}
        self.s3 = boto3.client(
            "s3",
            endpoint_url=self.server.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.server.key,
            aws_secret_access_key=self.server.secret,
        )
        self.bucket, self.prefix = self.server.bucket, f"landing-{self.name}/"
        self.url = f"s3://{self.server.bucket}/{self.name}"
        self.sqs = boto3.client(
            "sqs", endpoint_url=self.moto, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s"
        )
        self.dead = self.sqs.create_queue(QueueName=f"dead-{self.name}")["QueueUrl"]
        redrive = {"RedrivePolicy": self.redrive(TRIES)}
        made = self.sqs.create_queue(QueueName=f"work-{self.name}", Attributes=redrive)
        self.queue = made["QueueUrl"]
        initialise(self.store)

    def redrive(self, tries: int) -> str:
        """Return the policy by which a message becomes a dead letter after some tries."""
        arn = self.sqs.get_queue_attributes(QueueUrl=self.dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        return json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": tries})

    @property
    def store(self) -> Store:
        return open_store(self.url, storage_options=self.options)

    def raw(self, number: int) -> bytes:
        """A file of 200 ms; the next number follows without a gap."""
        return raw(self.folder / f"{number}.h5", number).read_bytes()

    def place(self, key: str) -> str:
        """The URL of an object in the landing zone."""
        return f"s3://{self.bucket}/{self.prefix}{key}"

    def put(self, key: str, body: bytes) -> dict[str, Any]:
        """Put an object, and return the event that S3 sends."""
        key = self.prefix + key
        etag = self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)["ETag"].strip('"')
        moment = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        held = {"key": quote_plus(key, safe="/"), "size": len(body), "eTag": etag, "sequencer": secrets.token_hex(8)}
        record = {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "eventTime": moment,
            "eventName": "ObjectCreated:Put",
            "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": self.bucket}, "object": held},
        }
        return {"Records": [record]}

    def send(self, *bodies: Any) -> None:
        for start in range(0, len(bodies), 10):
            some = [body if isinstance(body, str) else json.dumps(body) for body in bodies[start : start + 10]]
            entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(some)]
            self.sqs.send_message_batch(QueueUrl=self.queue, Entries=entries)

    def environment(self, **changed: Any) -> dict[str, str]:
        """What a worker's environment holds, quick to try again and to give up."""
        wanted = {
            "url": self.url,
            "queue": self.queue,
            "store_options": json.dumps(self.options),
            "source_options": json.dumps(self.options),
            "batch_seconds": 0.3,
            "retry_seconds": 0,
            "visibility_seconds": 6,
            "health_port": 0,
            "emf_seconds": 0,
            **changed,
        }
        return {f"LIGHTKEEP_{name.upper()}": str(value) for name, value in wanted.items()}

    def worker(self, **changed: Any) -> tuple[Worker, Metrics]:
        settings = WorkerSettings.from_environment(self.environment(**changed))
        store = open_store(settings.url, storage_options=dict(settings.store_options or {}))
        metrics = Metrics(store.url, settings.emf_namespace)
        return Worker(store, Queue(settings.queue, settings.visibility_seconds), settings, metrics), metrics

    @contextmanager
    def working(self, **changed: Any) -> Iterator[list[WorkerReport]]:
        """A worker in a thread, stopped at the end; its report is in the list then."""
        worker, _ = self.worker(**changed)
        with in_a_thread(worker) as reports:
            yield reports

    def in_flight(self) -> int:
        name = "ApproximateNumberOfMessagesNotVisible"
        held = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=[name])["Attributes"]
        return int(held[name])

    def counts(self, queue: str) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        held = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        return sum(int(held[name]) for name in names)

    def emptied(self) -> bool:
        return self.counts(self.queue) == 0

    def dead_letters(self) -> list[str]:
        reply = self.sqs.receive_message(QueueUrl=self.dead, MaxNumberOfMessages=10, VisibilityTimeout=0)
        return [message["Body"] for message in reply.get("Messages", ())]

    def check(self, numbers: list[int]) -> None:
        """The archive holds these blocks, each once, whatever came in between."""
        found = [patch.data for patch in lk.open(self.url, storage_options=self.options)]
        whole = np.concatenate([samples(number) for number in sorted(numbers)])
        assert np.array_equal(np.concatenate(found), whole)
        assert len(read_ledger(open_view(self.store)).sources()) == len(numbers)
        assert len(rows_of(self.store)) == len(numbers)


def stored(url: str) -> int:
    """Number of samples that a reader sees."""
    with suppress(DamagedData):  # the reader came between a fold's swap and its deletions: it may open again
        return sum(patch.shape[0] for patch in lk.open(url))
    return -1


def check(url: str, numbers: list[int]) -> None:
    """The archive holds these blocks, each once."""
    found = [patch.data for patch in lk.open(url)]
    assert np.array_equal(np.concatenate(found), np.concatenate([samples(number) for number in numbers]))
    sources = read_ledger(open_view(open_store(url))).sources()
    assert len(sources) == len(numbers)
