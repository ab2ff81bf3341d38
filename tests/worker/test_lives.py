"""The worker as a process: killed, told to stop, and with trouble of its own making."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from small import START
from waiting import PATIENCE, until

from ingest.synthetic.vendor import Header, write_prodml
from ingest.worker.health import ask

if TYPE_CHECKING:
    from landing import Scene
    from proxy import FaultProxy


class Running:
    """A worker's process, and the lines that it has written."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self.log = process, log

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        told = [json.loads(line) for line in self.log.read_text().splitlines() if line.endswith("}")]
        return [line for line in told if not event or line.get("event") == event]

    @property
    def port(self) -> int:
        (started,) = until(lambda: self.lines("started"))
        return int(started["health_port"])

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(PATIENCE)


@contextmanager
def process(scene: Scene, number: int = 0, **changed: Any) -> Iterator[Running]:
    log = scene.folder / f"worker-{number}.log"
    environment = {**os.environ, **scene.environment(**changed)}
    with log.open("wb") as output:
        started = subprocess.Popen(
            [sys.executable, "-m", "ingest", "worker"], env=environment, stdout=output, stderr=output
        )
        try:
            yield Running(started, log)
        finally:
            started.kill()
            started.wait()


def death(scene: Scene, files: int, kills: int) -> None:
    events = [scene.put(f"{number}.h5", scene.raw(number)) for number in range(files)]
    redrive = {"RedrivePolicy": scene.redrive(tries=50)}  # each death costs one, and so does a pause of the machine
    scene.sqs.set_queue_attributes(QueueUrl=scene.queue, Attributes=redrive)
    scene.send(*events, *events[::2])
    for number in range(kills):
        with process(scene, number, visibility_seconds=3, batch_seconds=0.2, jobs=2) as worker:
            until(lambda at=2 * number + 1: len(scene.store.entries("data/")) > 10 * at or scene.emptied())
            assert worker.end(signal.SIGKILL) == -signal.SIGKILL
    with scene.working() as reports:
        until(scene.emptied)
    assert scene.dead_letters() == []
    scene.check(list(range(files)))
    assert reports[0].refused == 0


@pytest.mark.slow
def test_what_a_killed_worker_had_in_hand_another_one_finishes(scene: Scene) -> None:
    death(scene, files=20, kills=1)


@pytest.mark.prove
def test_what_workers_killed_one_after_the_other_had_in_hand_is_stored_once(scene: Scene) -> None:
    death(scene, files=200, kills=2)


@pytest.mark.slow
def test_told_to_stop_it_commits_what_has_begun_gives_the_rest_back_and_ends_in_time(
    scene: Scene, proxy: FaultProxy
) -> None:
    proxy.set(rtt=0.1)  # what is left takes far longer than any pause of this test
    slow = json.dumps({**scene.options, "endpoint_url": proxy.url})
    events = [scene.put(f"{number}.h5", scene.raw(number)) for number in range(40)]
    with process(scene, batch_seconds=60, visibility_seconds=300, jobs=1, source_options=slow) as worker:
        assert until(lambda: ask("127.0.0.1", worker.port, "ready"))
        scene.send(*events)
        until(lambda: len(scene.store.entries("data/")) > 30)
        assert not scene.store.entries("commits/")
        with urllib.request.urlopen(f"http://127.0.0.1:{worker.port}/metrics", timeout=60) as reply:
            assert b"lightkeep_worker_messages_held" in reply.read()
        begun = time.monotonic()
        assert worker.end() == 0
        assert time.monotonic() - begun < 60
        (stopped,) = worker.lines("stopped")
        assert 0 < stopped["stored"] < 40
        assert stopped["commits"] == 1
        assert stopped["abandoned"] == 0
        assert not ask("127.0.0.1", worker.port)
        secrets = [str(scene.options["secret"])]
        assert not [word for word in secrets if word in worker.log.read_text()]
    with scene.working():  # what was given back is there at once, not after 300 s
        until(scene.emptied)
    scene.check(list(range(40)))


@pytest.mark.prove
def test_a_file_that_takes_longer_than_the_grace_time_is_given_up_and_not_lost(scene: Scene) -> None:
    block = np.random.default_rng(1).normal(size=(800_000, 50)).astype(np.float32)  # many seconds of encoding
    body = write_prodml(scene.folder / "long.h5", block, Header(start=START)).read_bytes()
    with process(scene, grace_seconds=1, visibility_seconds=300) as worker:
        until(lambda: worker.lines("started"))
        event = scene.put("long.h5", body)
        scene.send(event)
        until(lambda: scene.in_flight() == 1)
        time.sleep(0.3)
        begun = time.monotonic()
        assert worker.end() == 0
        assert time.monotonic() - begun < 60
        (stopped,) = worker.lines("stopped")
        assert stopped["abandoned"] == 1
    assert not scene.store.entries("commits/")
    time.sleep(2)  # whoever of the worker still asked would have it by now
    assert scene.sqs.receive_message(QueueUrl=scene.queue, WaitTimeSeconds=5)["Messages"]  # not hidden for 300 s
