"""What the pages take for granted: files, archives and buckets that are there before a reader begins."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import numpy as np

import archive as lk
from archive.store import open_store
from archive.times import time_to_ns
from ingest.initialise import initialise
from ingest.run import ingest
from ingest.settings import Settings
from ingest.synthetic.vendor import Header, write_prodml

if TYPE_CHECKING:
    from ingest.server import LocalS3


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One server, its buckets `bucket` and `landing` empty, and a folder."""

    server: LocalS3
    folder: Path

    @property
    def options(self) -> dict[str, str]:
        return {"key": self.server.key, "secret": self.server.secret, "endpoint_url": self.server.endpoint}

    def client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.server.endpoint,
            aws_access_key_id=self.server.key,
            aws_secret_access_key=self.server.secret,
            region_name="us-east-1",
        )

    def clean(self) -> None:
        """Empty the buckets."""
        s3 = self.client()
        there = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
        for name in ("bucket", "landing"):
            if name in there:
                for page in s3.get_paginator("list_objects_v2").paginate(Bucket=name):
                    for one in page.get("Contents", ()):
                        s3.delete_object(Bucket=name, Key=one["Key"])
                s3.delete_bucket(Bucket=name)
            s3.create_bucket(Bucket=name)

    def fibre(self, start: str = "2016-03-14T08:00:00") -> Path:
        """Write the raw files of one fibre: 90 s at 1 kHz, 20 channels, 50 m apart."""
        for number in range(3):
            self.file(self.folder / f"raw/{number}.h5", number, start)
        return self.folder / "raw"

    def file(self, path: Path, number: int, start: str = "2016-03-14T08:00:00") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        samples = np.random.default_rng(number).normal(0, 300, (30_000, 20)).astype("i2")
        begin = time_to_ns(start) + number * 30 * 10**9
        return write_prodml(path, samples, Header(start=begin, spacing=50.0))

    def archive(self, name: str, source: Path | None = None, dataset: str | None = None) -> None:
        store = open_store(f"s3://bucket/{name}", storage_options=self.options)
        initialise(store)
        if source is not None:
            ingest(store, [str(source)], Settings(dataset=dataset))

    def sun(self) -> Path:
        """Write the frames and the asdf of a telescope."""
        place = self.folder / "raw/RASTER"
        cube = lk.get_example_cube("raster")
        cube.io.to_fits(str(place))
        cube.io.to_asdf(str(place / "VISP_metadata.asdf"))
        return place


def _porotomo(world: World) -> None:
    world.archive("porotomo", world.fibre(), "brady")


def _readme(world: World) -> None:
    sun = world.sun()
    world.archive("sun", sun)
    shutil.rmtree(world.folder / "raw")
    world.fibre()


def _frames(world: World) -> None:
    world.sun()
    for name in ("sun", "spectra"):
        world.archive(name)


def _operations(world: World) -> None:
    world.archive("fibre", world.fibre("2024-05-14T09:00:00"), "fibre")
    world.archive("results")


def _bad(world: World) -> None:
    _porotomo(world)
    world.file(world.folder / "good/broken.h5", 5)
    (world.folder / "bad").mkdir()
    body = (world.folder / "good/broken.h5").read_bytes()
    (world.folder / "bad/broken.h5").write_bytes(body[: len(body) // 2])
    world.file(world.folder / "bad/fine.h5", 6)


def _keep(world: World) -> None:
    _porotomo(world)
    said = {"overview": {"network_code": "XX"}, "acquisition": {"gauge_length": 10.0}}
    (world.folder / "fdsn.json").write_text(json.dumps(said))


def _watch(world: World) -> None:
    world.archive("porotomo", world.fibre(), "brady")
    world.file(world.folder / "later.h5", 3)


def _public(world: World) -> None:
    """Public before the page says how, since it begins with reading."""
    _porotomo(world)
    world.archive("public", world.folder / "raw", "brady")
    allow = {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject", "s3:ListBucket"]}
    said = {
        "Version": "2012-10-17",
        "Statement": [{**allow, "Resource": ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"]}],
    }
    world.client().put_bucket_policy(Bucket="bucket", Policy=json.dumps(said))


def _elsewhere(world: World) -> None:
    _porotomo(world)
    _public(world)
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(Path(__file__).parent / "javascript" / name, world.folder)


def _worker(world: World) -> None:
    path = world.file(world.folder / "one.h5", 0)
    world.client().upload_file(str(path), "landing", "2016-03-14/one.h5")


def _files(world: World) -> None:
    world.fibre()


WORLDS = {
    "README.md": _readme,
    "docs/explanation/cost.md": _porotomo,
    "docs/explanation/time.md": _files,
    "docs/export.md": _porotomo,
    "docs/frames.md": _frames,
    "docs/how-to/anonymous.md": _public,
    "docs/how-to/bad-files.md": _bad,
    "docs/how-to/credentials.md": _porotomo,
    "docs/how-to/format.md": _porotomo,
    "docs/how-to/keep.md": _keep,
    "docs/how-to/laptop.md": _files,
    "docs/how-to/move.md": _porotomo,
    "docs/how-to/on-site.md": _files,
    "docs/how-to/read-elsewhere.md": _elsewhere,
    "docs/how-to/watch.md": _watch,
    "docs/operations.md": _operations,
    "docs/serve.md": _porotomo,
    "docs/worker.md": _worker,
}
PRELUDES = {
    "docs/operations.md": "import archive as lk\npatch = lk.get_example_patch('example_event_1').set_units(time='s')\n"
    "month = lk.open('s3://bucket/fibre')[0]",
}
