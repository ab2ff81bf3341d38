"""The worker against SQS as moto speaks it and S3 as SeaweedFS does: everything ends up once, or a dead letter."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest
from frame_sets import example_files, write_changed
from landing import TRIES, Scene
from prometheus_client.parser import text_string_to_metric_families
from proxy import FaultProxy
from waiting import in_a_thread, until

import archive as lk
from archive.errors import InvalidInput, NotFound, StoreTrouble
from archive.view import open_view
from ingest.checking.verify import verify
from ingest.keeping.compact import compact
from ingest.keeping.remove import remove
from ingest.quarantine import newest_reports
from ingest.run import read_ledger


def over_sns(event: Any) -> dict[str, Any]:
    return {
        "Type": "Notification",
        "MessageId": "1",
        "TopicArn": "arn:aws:sns:eu-west-1:1:t",
        "Message": json.dumps(event),
    }


def test_every_kind_of_message_is_taken_in_once_and_what_is_none_ends_with_the_dead_letters(scene: Scene) -> None:
    keys = ["a/plain.h5", "b/with space+plus.h5", "c/é=%41&ü.h5", "named.h5"]
    events = [scene.put(key, scene.raw(number)) for number, key in enumerate(keys)]
    removed = json.loads(json.dumps(events[0]).replace("ObjectCreated:Put", "ObjectRemoved:Delete"))
    good = [events[0], events[1], over_sns(events[2]), {"url": scene.place("named.h5")}]
    nothing = [
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2014-10-13T15:57:02.089Z", "Bucket": "b"},
        over_sns({"Service": "Amazon S3", "Event": "s3:TestEvent"}),
        removed,
        scene.put("a/", b""),
        scene.put("notes.txt", b"no data"),
    ]
    poison = ["{", "[]", json.dumps({"Records": [{"eventName": "ObjectCreated:Put"}]}), '{"url": "file:///etc/passwd"}']
    messages: list[Any] = [*good, *good, *nothing, *poison]  # everything good twice
    random.Random(7).shuffle(messages)
    scene.send(*messages)
    with scene.working() as reports:
        until(scene.emptied)
    scene.check([0, 1, 2, 3])
    assert sorted(scene.dead_letters()) == sorted(poison)
    (report,) = reports
    assert (report.stored, report.known, report.ignored, report.refused) == (4, 4, 1, 0)
    assert report.commits <= 4
    assert not scene.store.entries("commits/")  # folded at the end


def test_a_refused_file_holds_nobody_and_is_in_quarantine_while_its_message_is_a_dead_letter(scene: Scene) -> None:
    events = [scene.put(f"{number}.h5", scene.raw(number)) for number in range(3)]
    broken = scene.put("broken.h5", scene.raw(3)[:2000])
    gone = scene.put("gone.h5", scene.raw(4))
    frame = scene.put("frame.fits", b"SIMPLE  =                    T")
    scene.s3.delete_object(Bucket=scene.bucket, Key=f"{scene.prefix}gone.h5")
    both = {"Records": [*events[2]["Records"], *broken["Records"]]}  # one message, half of it good
    scene.send(events[0], broken, both, gone, frame, events[1])
    with scene.working():
        until(scene.emptied)
    scene.check([0, 1, 2])
    assert sorted(scene.dead_letters()) == sorted(json.dumps(one) for one in (broken, both, gone, frame))
    reports = newest_reports(scene.store)
    assert sorted(report.url.rpartition("/")[2] for report in reports) == ["broken.h5", "frame.fits", "gone.h5"]
    assert len(scene.store.entries("quarantine/")) == 3  # one report of each, however often it was tried


def test_frames_and_their_asdf_come_in_whatever_their_order(scene: Scene) -> None:
    paths = example_files(scene.folder / "sun", 12)
    events = [scene.put(f"sun/{path.name}", path.read_bytes()) for path in paths]
    copy = scene.put("copy/again.fits", paths[1].read_bytes())
    changed = write_changed(scene.folder / "changed.fits", paths[2])
    other = scene.put("other/changed.fits", changed.read_bytes())
    random.Random(5).shuffle(events)
    scene.send(scene.put(f"sun/{paths[0].name}", paths[0].read_bytes()))  # the asdf, before any frame
    with scene.working() as reports:
        until(lambda: scene.in_flight() == 1)
        scene.send(*events, *events, copy)
        until(scene.emptied)
        scene.send(other)
        until(scene.emptied)
    assert [json.loads(body) for body in scene.dead_letters()] == [other]
    (report,) = newest_reports(scene.store)
    assert "claims the place" in report.reason
    assert reports[0].stored == len(paths) + 1  # the copy is listed, too
    assert compact(scene.store).after == 1
    (cube,) = lk.open(scene.url, storage_options=scene.options)
    assert cube.meta["inventory"]
    files = {path.name: path.read_bytes() for path in paths[1:]}
    assert {path.name: path.read_bytes() for path in cube.io.to_fits(scene.folder / "out")} == files
    assert cube.io.to_asdf(scene.folder / "out.asdf").read_bytes() == paths[0].read_bytes()
    assert len(read_ledger(open_view(scene.store)).sources()) == len(paths)  # contents
    assert not verify(scene.store, "full").damaged


def test_what_is_delivered_again_is_known_without_a_request_for_it(scene: Scene, s3_server: Any) -> None:
    events = [scene.put(f"{number}.h5", scene.raw(number)) for number in range(6)]
    scene.send(*events)
    with FaultProxy(int(s3_server.endpoint.rpartition(":")[2])) as proxy:
        through = json.dumps({**scene.options, "endpoint_url": proxy.url})
        with scene.working(source_options=through):
            until(scene.emptied)
        first = proxy.zero()
        assert first["GET"] == 6  # each file once
        assert first["requests"] <= 6 * 3  # and is it still the same, before and after
        scene.send(*events, *events)
        with scene.working(source_options=through) as reports:  # another worker, which knows only the archive
            until(scene.emptied)
        assert proxy.counts["requests"] == 0
    assert (reports[0].stored, reports[0].known) == (0, 12)
    scene.check(list(range(6)))


def test_a_changed_file_replaces_itself_in_whatever_order_its_events_come(scene: Scene) -> None:
    earlier = [scene.put(f"{number}.h5", scene.raw(number)) for number in range(4)]
    scene.send(*earlier[:2])  # 0 and 1 come in and change later; 2 and 3 have changed when their first event comes
    with scene.working():
        until(scene.emptied)
    later = [scene.put(f"{number}.h5", scene.raw(number + 10)) for number in range(4)]
    messages = [*earlier, *later, *earlier]
    random.Random(3).shuffle(messages)
    scene.send(*messages)
    with scene.working():
        until(scene.emptied)
    scene.check([10, 11, 12, 13])


def test_two_workers_with_every_message_twice_store_each_file_once(scene: Scene) -> None:
    events = [scene.put(f"{number}.h5", scene.raw(number)) for number in range(12)]
    scene.send(*events, *reversed(events))
    with scene.working(batch_seconds=0.05) as some, scene.working(batch_seconds=0.2) as others:
        until(scene.emptied)
    assert some[0].stored + others[0].stored >= 12
    scene.check(list(range(12)))


def test_messages_stay_hidden_while_their_file_waits_for_a_slow_commit(scene: Scene) -> None:
    """A batch that takes longer than a message is hidden: it must not come again."""
    scene.send(*(scene.put(f"{number}.h5", scene.raw(number)) for number in range(3)))
    worker, metrics = scene.worker(batch_seconds=7.5, visibility_seconds=6, idle_seconds=3)
    report = worker.run()
    assert (report.stored, report.known, report.commits) == (3, 0, 1)
    assert scene.emptied()
    assert b"failures_total{" not in metrics.prometheus()
    scene.check([0, 1, 2])


def test_one_commit_is_made_of_all_that_come_within_the_time(scene: Scene) -> None:
    scene.send(*(scene.put(f"{number}.h5", scene.raw(number)) for number in range(20)))
    with scene.working(batch_seconds=60, batch_files=20) as reports:
        until(scene.emptied)
    assert (reports[0].stored, reports[0].commits) == (20, 1)
    scene.check(list(range(20)))


def test_trouble_with_either_bucket_is_waited_out(scene: Scene, s3_server: Any) -> None:
    scene.send(*(scene.put(f"{number}.h5", scene.raw(number)) for number in range(2)))
    with FaultProxy(int(s3_server.endpoint.rpartition(":")[2])) as proxy:
        options = {**scene.options, "endpoint_url": proxy.url}
        archive = json.dumps({**options, "max_retries": 1, "retry_seconds": 1})
        worker, _ = scene.worker(store_options=archive, source_options=json.dumps(options), idle_seconds=2)
        proxy.set(slowdown=0.15, reset=0.1)
        report = worker.run()
    assert report.stored == 2
    assert scene.emptied()
    scene.check([0, 1])


def test_a_removed_dataset_comes_again_with_new_events(scene: Scene) -> None:
    events = [scene.put(f"{number}.h5", scene.raw(number)) for number in range(2)]
    scene.send(*events)
    with scene.working(dataset="fibre"):
        until(scene.emptied)
        remove(scene.store, "fibre")
        scene.put("2.h5", scene.raw(2))
        time.sleep(1.1)
        scene.send({"url": scene.place("2.h5")})
        until(scene.emptied)
        scene.send(*events)
        until(scene.emptied)
    scene.check([0, 1, 2])


def test_metrics_and_health_tell_what_happened(scene: Scene) -> None:
    body = scene.raw(0)
    scene.send(scene.put("0.h5", body), scene.put("0.h5", body), scene.put("bad.h5", body[:999]), "poison")
    worker, metrics = scene.worker()
    with in_a_thread(worker):
        until(scene.emptied)
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics.prometheus().decode())
        for sample in family.samples
    }
    name = "lightkeep_worker_"
    assert found[f"{name}files_total", "stored"] == 1
    assert found[f"{name}files_total", "refused"] == TRIES
    assert found[f"{name}bytes_total",] == len(body)
    assert found[f"{name}commits_total",] == 1
    assert found[f"{name}lag_seconds_count",] == 1
    assert 0 < found[f"{name}lag_seconds_sum",] < 20
    assert found[f"{name}failures_total", "message"] == TRIES
    assert (f"{name}queue_depth", "visible") in found
    (line,) = metrics.embedded()
    told = json.loads(line)
    (directive,) = told["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["Archive"]]
    assert all(metric["Name"] in told for metric in directive["Metrics"])
    assert (told["Files"], told["Bytes"], told["Archive"]) == (1, len(body), scene.url)
    assert len(told["Lag"]) == 1
    assert json.loads(metrics.embedded()[0])["Files"] == 0


def test_a_queue_without_dead_letters_and_one_that_is_not_there_are_refused(scene: Scene) -> None:
    with pytest.raises(InvalidInput, match="no dead-letter queue"):
        scene.worker(queue=scene.dead)
    with pytest.raises(NotFound, match="no such queue"):
        scene.worker(queue=scene.queue + "x")
    with pytest.raises(StoreTrouble, match="cannot be reached"):
        scene.worker(queue="http://127.0.0.1:9/1/queue")
