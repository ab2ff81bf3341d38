"""The queue: SQS, or what speaks its language."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import batched
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from archive.errors import AccessDenied, InvalidInput, MissingExtra, NotFound, StoreTrouble
from archive.store.faults import redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Delivery", "Queue"]

_AT_ONCE = 10  # messages in a request, as SQS has it
_LONGEST_WAIT = 900  # s before a message that failed comes again
_REGION = re.compile(r"sqs[.-]([a-z]{2}(?:-[a-z]+)+-\d)\.")
_MISSING = frozenset({"QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"})
_DENIED = re.compile("AccessDenied|Unrecognized|InvalidClientToken|Signature|ExpiredToken|InvalidAccessKey")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message as it was received this time.

    Parameters
    ----------
    id
        Of the message, the same at each delivery.
    receipt
        Of this delivery.
    tries
        How often it has been received, this time included.
    sent
        When, s since 1970.
    """

    id: str
    receipt: str = field(repr=False)
    body: str = field(repr=False)
    tries: int = 1
    sent: float | None = None


class Queue:
    """An SQS queue with a dead-letter queue behind it.

    Parameters
    ----------
    url
        Of the queue; requests go to its host, so that one of another maker, or on this machine, is reached as well.
    visibility
        Seconds for which a message that was received is hidden from others.

    Raises
    ------
    MissingExtra
        boto3 is not installed.
    """

    def __init__(self, url: str, visibility: int) -> None:
        self.url, self._visibility = url, visibility
        self.tries: int | None = None  # before a message goes to the dead-letter queue
        self._client = _client(url)

    def check(self) -> None:
        """Raise unless it is there and has a dead-letter queue.

        Raises
        ------
        InvalidInput
            It has none: a message that cannot be understood would come back for ever.
        NotFound, StoreTrouble
            There is no such queue, or it cannot be asked.
        """
        policy = self._attributes(["RedrivePolicy"]).get("RedrivePolicy")
        found = re.search(r'"maxReceiveCount"\s*:\s*"?(\d+)', policy or "")
        if found is None:
            raise InvalidInput(
                f"{self.url}: has no dead-letter queue, so what cannot be taken would come back for ever; "
                "give it a redrive policy with deadLetterTargetArn and maxReceiveCount"
            )
        self.tries = int(found.group(1))

    def receive(self, most: int, wait: int) -> list[Delivery]:
        """Return messages as they come, at most 10, after a wait of some seconds at most.

        Raises
        ------
        StoreTrouble
            The queue cannot be reached.
        """
        with self._asked():
            reply = self._client.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=min(most, _AT_ONCE),
                WaitTimeSeconds=wait,
                VisibilityTimeout=self._visibility,
                AttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
            )
        return [_delivery(message) for message in reply.get("Messages", ())]

    def delete(self, deliveries: Iterable[Delivery]) -> int:
        """Remove messages for good; return how many the queue would not remove, which will come again."""
        failed = 0
        for some in batched(deliveries, _AT_ONCE):
            entries = [{"Id": str(number), "ReceiptHandle": one.receipt} for number, one in enumerate(some)]
            with self._asked():
                reply = self._client.delete_message_batch(QueueUrl=self.url, Entries=entries)
            failed += len(reply.get("Failed", ()))
        return failed

    def prolong(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Keep messages hidden, from now on for as long as at first; return those that are not ours any more."""
        lost: list[Delivery] = []
        for some in batched(deliveries, _AT_ONCE):
            reply = self._hide([(one, self._visibility) for one in some])
            lost += [some[int(failure["Id"])] for failure in reply.get("Failed", ())]
        return lost

    def give_back(self, waits: Iterable[tuple[Delivery, int]]) -> None:
        """Have messages delivered again, each after some seconds."""
        for some in batched(waits, _AT_ONCE):
            self._hide(some)

    def wait_of(self, delivery: Delivery, first: int) -> int:
        """Return the seconds before a message that failed is tried again; none before it goes to the dead letters."""
        if self.tries is not None and delivery.tries >= self.tries:
            return 0
        return min(first << min(delivery.tries - 1, 16), _LONGEST_WAIT)

    def depth(self) -> dict[str, int]:
        """Return about how many messages there are: visible, in flight, and delayed."""
        names = {
            "visible": "ApproximateNumberOfMessages",
            "in_flight": "ApproximateNumberOfMessagesNotVisible",
            "delayed": "ApproximateNumberOfMessagesDelayed",
        }
        held = self._attributes(list(names.values()))
        return {state: int(held.get(name, 0)) for state, name in names.items()}

    def _hide(self, waits: Sequence[tuple[Delivery, int]]) -> Any:
        entries = [
            {"Id": str(number), "ReceiptHandle": one.receipt, "VisibilityTimeout": seconds}
            for number, (one, seconds) in enumerate(waits)
        ]
        with self._asked():
            return self._client.change_message_visibility_batch(QueueUrl=self.url, Entries=entries)

    def _attributes(self, names: list[str]) -> dict[str, str]:
        with self._asked():
            reply = self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)
        held: dict[str, str] = reply.get("Attributes", {})
        return held

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """Turn what boto3 raises into errors of ours."""
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in _MISSING:
                raise NotFound(f"{self.url}: no such queue; check LIGHTKEEP_QUEUE and the region") from error
            if _DENIED.search(code):
                raise AccessDenied(f"{self.url}: these credentials may not use the queue ({code})") from error
            raise StoreTrouble(f"{self.url}: the queue did not do what was asked ({code}); try again") from error
        except NoCredentialsError as error:
            raise AccessDenied(f"{self.url}: there are no credentials for the queue") from error
        except (BotoCoreError, OSError) as error:
            raise StoreTrouble(f"{self.url}: the queue cannot be reached ({redact(str(error))})") from error


def _client(url: str) -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError as error:
        raise MissingExtra("the worker needs boto3: pip install 'lightkeep[worker]'") from error
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise InvalidInput(f"LIGHTKEEP_QUEUE: {redact(url)} is no URL of a queue; it begins with https://")
    region = _REGION.search(f"{parts.netloc}.")
    return boto3.client(
        "sqs",
        endpoint_url=f"{parts.scheme}://{parts.netloc}",
        region_name=region.group(1) if region else os.environ.get("AWS_REGION", "us-east-1"),
        config=Config(retries={"mode": "standard", "max_attempts": 2}, read_timeout=40, connect_timeout=10),
    )


def _delivery(message: dict[str, Any]) -> Delivery:
    said = message.get("Attributes", {})
    sent = said.get("SentTimestamp")
    return Delivery(
        id=message["MessageId"],
        receipt=message["ReceiptHandle"],
        body=message["Body"],
        tries=int(said.get("ApproximateReceiveCount", 1)),
        sent=None if sent is None else int(sent) / 1e3,
    )
