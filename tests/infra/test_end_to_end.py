"""From apply to destroy: files land, workers die, and each file is in the archive once or set aside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from small import raw, samples

import archive as lk

if TYPE_CHECKING:
    from deployed import Deployed

pytestmark = pytest.mark.infra

FILES = 12


@pytest.fixture(scope="module")
def deployed(deploy: Callable[..., Deployed], network: dict[str, Any]) -> Deployed:
    # No budget: the emulator does not know who is told of it, and the provider asks for that without an end.
    variables = {**network, "budget_dollars": None}
    return deploy("full", variables, force_destroy=True, tries=3, visibility_seconds=6, landing_suffixes=[".h5"])


def drift(deployed: Deployed) -> dict[str, Any]:
    """Return what a plan would change, by address, as before and after."""
    deployed.terraform.run("plan", "-input=false", "-out=drift", "-no-color")
    plan = json.loads(deployed.terraform.run("show", "-json", "drift"))
    changes = {each["address"]: each["change"] for each in plan["resource_changes"]}
    return {address: change for address, change in changes.items() if change["actions"] not in (["no-op"], ["read"])}


def assert_no_drift(deployed: Deployed) -> None:
    """The emulator gives a redrive policy back with other white space; nothing else may differ."""
    found = drift(deployed)
    assert set(found) <= {"module.lightkeep.aws_sqs_queue.work"}
    for change in found.values():
        before, after = ({**change[when]} for when in ("before", "after"))
        assert json.loads(before.pop("redrive_policy")) == json.loads(after.pop("redrive_policy"))
        assert before == after


class Workers:
    """Workers as processes, with the role and the settings that Terraform gave."""

    def __init__(self, deployed: Deployed, folder: Path) -> None:
        quick = {"LIGHTKEEP_RETRY_SECONDS": "1", "LIGHTKEEP_BATCH_SECONDS": "0.3", "LIGHTKEEP_HEALTH_PORT": "0"}
        role = deployed.emulator.environment("observatory-ingest")
        self.environment = {**role, **deployed.outputs["worker_environment"], **quick}
        self.folder, self.running = folder, []  # type: ignore[var-annotated]

    def start(self) -> subprocess.Popen[bytes]:
        with (self.folder / f"worker-{len(self.running)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "ingest", "worker"], env=self.environment, stdout=log, stderr=log
            )
        self.running.append(process)
        return process


@pytest.fixture
def workers(deployed: Deployed, tmp_path: Path) -> Iterator[Workers]:
    made = Workers(deployed, tmp_path)
    yield made
    for process in made.running:
        process.kill()
        process.wait()


def until(what: Callable[[], bool], seconds: float, why: str) -> None:
    over = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < over, why
        time.sleep(0.3)


def test_from_apply_to_destroy(
    deployed: Deployed, workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator, outputs = deployed.emulator, deployed.outputs
    assert_no_drift(deployed)
    assert f"lightkeep init {outputs['archive_url']}" in outputs["next"]
    for name in [name for name in os.environ if name.startswith(("AWS_", "LIGHTKEEP_"))]:
        monkeypatch.delenv(name)
    admin = {"key": "ak", "secret": "sk", "endpoint_url": emulator.url, "region": "us-east-1"}
    asked = subprocess.run(
        [sys.executable, "-m", "ingest", "init", outputs["archive_url"], "--option", f"endpoint_url={emulator.url}"],
        env={**workers.environment, "AWS_ACCESS_KEY_ID": "ak", "AWS_SECRET_ACCESS_KEY": "sk", "AWS_SESSION_TOKEN": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.returncode == 0, asked.stderr

    s3, sqs = emulator.client("s3"), emulator.client("sqs")
    landing = outputs["landing_url"].removeprefix("s3://")
    files = [raw(tmp_path / "raw" / f"{number:02}.h5", number) for number in range(FILES)]

    def put(key: str, body: bytes) -> None:
        s3.put_object(Bucket=landing, Key=key, Body=body)

    def counts(url: str) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        held = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(held[name]) for name in names)

    for file in files[: FILES // 2]:
        put(f"day/{file.name}", file.read_bytes())
    first = workers.start()
    until(lambda: counts(outputs["queue_url"]) < FILES // 2, 120, "the first worker takes nothing in")
    for file in files[FILES // 2 :]:
        put(f"day/{file.name}", file.read_bytes())
    put("day/broken.h5", files[0].read_bytes()[:3000])
    put("day/notes.txt", b"no raw file: its end is none that the queue is told of")
    first.send_signal(signal.SIGKILL)
    first.wait()

    for file in files[::3]:  # the same events again, as SQS may have them
        put(f"day/{file.name}", file.read_bytes())
    sqs.send_message(
        QueueUrl=outputs["queue_url"], MessageBody=json.dumps({"url": f"s3://{landing}/day/{files[1].name}"})
    )
    sqs.send_message(QueueUrl=outputs["queue_url"], MessageBody="poison")
    second, third = workers.start(), workers.start()
    until(lambda: counts(outputs["queue_url"]) == 0, 120, "messages are left in the queue")
    for process in (second, third):
        process.send_signal(signal.SIGTERM)
    assert [process.wait(120) for process in (second, third)] == [0, 0]

    dead = []
    while found := sqs.receive_message(QueueUrl=outputs["dead_letter_queue_url"], MaxNumberOfMessages=10).get(
        "Messages"
    ):
        dead += [message["Body"] for message in found]
    assert len(dead) == 2
    assert "poison" in dead
    assert any("broken.h5" in body for body in dead)

    spool = lk.open(outputs["archive_url"], storage_options=admin)
    held = np.concatenate([patch.load().data.ravel() for patch in spool])
    wanted = np.concatenate([samples(number).ravel() for number in range(FILES)])
    assert held.size == wanted.size
    assert np.array_equal(np.sort(held), np.sort(wanted))
    assert not [asked for asked in emulator.asked() if not asked["allowed"] and "observatory" in asked["resource"]]

    assert_no_drift(deployed)
    deployed.terraform.run("destroy", "-auto-approve", "-input=false", "-no-color", seconds=180)
    assert json.loads(deployed.terraform.run("show", "-json")).get("values") is None
    names = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    names += sqs.list_queues().get("QueueUrls", [])
    names += [role["RoleName"] for role in emulator.client("iam").list_roles()["Roles"]]
    names += [alarm["AlarmName"] for alarm in emulator.client("cloudwatch").describe_alarms()["MetricAlarms"]]
    assert not [name for name in names if "observatory" in name]
