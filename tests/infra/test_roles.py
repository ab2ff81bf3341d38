"""Each role does its job, by real commands under the policies that Terraform set, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from small import raw

if TYPE_CHECKING:
    from deployed import Deployed, Emulator

pytestmark = pytest.mark.infra

ROLES = ("ingest", "reader", "keeper")


def lightkeep(environment: dict[str, str], *words: str, code: int = 0) -> str:
    """Run a command; return what it printed."""
    command = [sys.executable, "-m", "ingest", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout + done.stderr


class Archive:
    """The archive of the public example, with two files in it, folded."""

    def __init__(self, deployed: Deployed, folder: Path) -> None:
        self.emulator: Emulator = deployed.emulator
        self.url = deployed.outputs["archive_url"]
        self.bucket = self.url.removeprefix("s3://")
        self.queue = deployed.outputs["queue_url"]
        self.landing = deployed.outputs["landing_url"].removeprefix("s3://")
        self.files = [raw(folder / "raw" / f"{number}.h5", number) for number in range(8)]
        self.broken = folder / "raw" / "broken.h5"
        self.broken.write_bytes(self.files[0].read_bytes()[:3000])
        admin = {"AWS_ACCESS_KEY_ID": "ak", "AWS_SECRET_ACCESS_KEY": "sk"}
        self.roles = {role: self.emulator.environment(f"open-fibre-{role}") for role in ROLES}
        self.admin = {n: v for n, v in self.roles["ingest"].items() if n != "AWS_SESSION_TOKEN"} | admin
        lightkeep(self.admin, "init", self.url)
        self.emulator.check_roles_after(0)
        self.ingest(*self.files[:2])

    def run(self, role: str, *words: str, code: int = 0) -> str:
        return lightkeep(self.roles[role], *words, code=code)

    def ingest(self, *files: Path) -> str:
        return self.run("ingest", "ingest", *map(str, files), self.url)

    def client(self, role: str | None, service: str = "s3") -> Any:
        if role is None:
            return self.emulator.anonymous()
        return self.emulator.client(service, self.emulator_credentials(role))

    def emulator_credentials(self, role: str) -> dict[str, str]:
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        return {name.lower(): self.roles[role][name] for name in names}

    def a_key(self, start: str) -> str:
        return next(key for key in sorted(self.held()) if key.startswith(start))

    def held(self) -> set[str]:
        found = self.client("ingest").list_objects_v2(Bucket=self.bucket)
        return {entry["Key"] for entry in found["Contents"]}


@pytest.fixture(scope="module")
def archive(deploy: Callable[..., Deployed], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    made = Archive(deploy("public", force_destroy=True), tmp_path_factory.mktemp("archive"))
    yield made
    made.emulator.check_roles_after(10**9)


def test_the_ingest_role_ingests_folds_and_quarantines(archive: Archive) -> None:
    archive.ingest(*archive.files[2:4])
    assert not [key for key in archive.held() if key.startswith(("commits/", "index/folding/"))]  # folded
    archive.run("ingest", "ingest", str(archive.broken), archive.url, code=1)
    assert "broken.h5" in archive.run("ingest", "quarantine", "ls", archive.url)
    assert "broken.h5" in archive.run("keeper", "quarantine", "ls", archive.url)
    assert "AccessDenied" not in archive.run("ingest", "tag", archive.url, "first")


@pytest.mark.parametrize("role", ["ingest", "reader", "keeper"])
def test_every_role_reads(archive: Archive, role: str) -> None:
    found = json.loads(archive.run(role, "ls", archive.url, "--json"))
    assert found
    script = f"import archive as lk; print(sum(p.data.sum() for p in lk.open({archive.url!r})))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=archive.roles[role],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout)


def test_anybody_reads_a_public_archive(archive: Archive) -> None:
    nobody = {name: value for name, value in archive.admin.items() if not name.startswith("AWS_")}
    words = [
        "--option",
        "anonymous=true",
        "--option",
        f"endpoint_url={archive.emulator.url}",
        "--option",
        "region=us-east-1",
    ]
    assert json.loads(lightkeep(nobody, "ls", archive.url, *words, "--json"))


def test_the_keeper_role_compacts_verifies_and_collects(archive: Archive) -> None:
    archive.ingest(archive.files[4])
    archive.run("keeper", "compact", archive.url)
    archive.run("keeper", "verify", archive.url, "--full")
    before = len(archive.held())
    archive.run("keeper", "gc", archive.url, "--retention", "0s")
    assert len(archive.held()) < before
    archive.run("reader", "ls", archive.url)
    archive.run("keeper", "verify", archive.url, "--full")


@pytest.mark.parametrize(
    ("role", "words"),
    [
        ("reader", ("ingest", "FILE", "URL")),
        ("reader", ("gc", "URL", "--retention", "0s")),
        ("reader", ("tag", "URL", "mine")),
        ("reader", ("quarantine", "ls", "URL")),
        ("ingest", ("gc", "URL", "--retention", "0s")),
        ("keeper", ("ingest", "FILE", "URL")),
    ],
)
def test_a_role_is_refused_what_is_not_its_job(archive: Archive, role: str, words: tuple[str, ...]) -> None:
    before = archive.held()
    named = {"URL": archive.url, "FILE": str(archive.files[5])}
    command = [sys.executable, "-m", "ingest", *(named.get(word, word) for word in words)]
    done = subprocess.run(command, env=archive.roles[role], capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode != 0
    assert "403" in done.stderr or "denied" in done.stderr.lower() or "may not" in done.stderr.lower(), done.stderr
    assert not {key for key in before - archive.held() if key.startswith(("data/", "index/leaves"))}


MAY = {
    # what, to which key: who may
    ("get", "lightkeep.json"): {"ingest", "reader", "keeper", None},
    ("get", "index/CURRENT"): {"ingest", "reader", "keeper", None},
    ("get", "data/"): {"ingest", "reader", "keeper", None},
    ("get", "quarantine/"): {"ingest", "keeper"},
    ("create", "data/x.zarr/y"): {"ingest", "keeper"},
    ("create", "commits/x"): {"ingest"},
    ("create", "index/leaves/x"): {"ingest", "keeper"},
    ("create", "quarantine/x"): {"ingest"},
    ("create", "clock/x"): {"keeper"},
    ("create", "lightkeep.json2"): set(),
    ("overwrite", "data/"): set(),
    ("overwrite", "index/CURRENT"): set(),
    ("swap", "data/"): set(),
    ("swap", "lightkeep.json"): set(),
    ("delete", "data/none"): {"keeper"},
    ("delete", "commits/none"): {"ingest", "keeper"},
    ("delete", "index/CURRENT"): set(),
    ("delete", "index/snapshots/none"): {"keeper"},
    ("delete", "index/folding/none"): {"ingest", "keeper"},
    ("delete", "lightkeep.json"): set(),
    ("delete", "quarantine/"): set(),
    ("list", "commits/"): {"ingest", "reader", "keeper", None},
    ("list", "data/"): {"ingest", "keeper"},
    ("list", ""): {"ingest", "keeper"},
}


def attempt(client: Any, bucket: str, what: str, key: str, etag: str) -> None:
    if what == "get":
        client.get_object(Bucket=bucket, Key=key)
    elif what == "list":
        client.list_objects_v2(Bucket=bucket, Prefix=key)
    elif what == "delete":
        client.delete_object(Bucket=bucket, Key=key)
    else:
        condition = {"create": {"IfNoneMatch": "*"}, "swap": {"IfMatch": etag}, "overwrite": {}}[what]
        client.put_object(Bucket=bucket, Key=key, Body=b"x", **condition)


@pytest.mark.parametrize(("what", "key"), list(MAY), ids=lambda value: value or "all")
def test_who_may_do_what(archive: Archive, what: str, key: str) -> None:
    """Each single request, for each role and for nobody."""
    if key.endswith("/") and what != "list":
        key = archive.a_key(key)
    may = MAY[
        what, next(k for w, k in MAY if w == what and (k == key or (k and k.endswith("/") and key.startswith(k))))
    ]
    etag = archive.client("ingest").head_object(Bucket=archive.bucket, Key="lightkeep.json")["ETag"]
    able: set[str | None] = set()
    for role in (*ROLES, None):
        name = f"{key}-{role}" if what == "create" else key
        try:
            attempt(archive.client(role), archive.bucket, what, name, etag)
            able.add(role)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            assert status in (403, 412), error  # noqa: PT017 - either is an answer
            if status == 412:
                able.add(role)
    assert able == may


@pytest.mark.parametrize("role", ROLES)
def test_no_role_deletes_versions_or_changes_the_bucket(archive: Archive, role: str) -> None:
    client, bucket = archive.client(role), archive.bucket
    version = archive.client("ingest").head_object(Bucket=bucket, Key="lightkeep.json")["VersionId"]
    deeds: list[Callable[[], Any]] = [
        lambda: client.delete_bucket_policy(Bucket=bucket),
        lambda: client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"}),
        lambda: client.delete_object(Bucket=bucket, Key="lightkeep.json", VersionId=version),
    ]
    for deed in deeds:
        with pytest.raises(ClientError, match=r"AccessDenied|403"):
            deed()


def test_only_the_ingest_role_works_on_the_queue(archive: Archive) -> None:
    for role in ROLES:
        client = archive.client(role, "sqs")
        if role == "ingest":
            client.receive_message(QueueUrl=archive.queue, WaitTimeSeconds=0)
        else:
            with pytest.raises(ClientError, match="AccessDenied"):
                client.receive_message(QueueUrl=archive.queue, WaitTimeSeconds=0)
        with pytest.raises(ClientError, match="AccessDenied"):
            client.send_message(QueueUrl=archive.queue, MessageBody="{}")


def test_the_program_was_never_refused_where_a_role_does_its_job(archive: Archive) -> None:
    """What real operations asked for, condition by condition, as it was written down."""
    mine = [
        asked for asked in archive.emulator.asked() if asked["resource"].startswith(f"arn:aws:s3:::{archive.bucket}/")
    ]
    puts = [asked for asked in mine if asked["action"] == "s3:PutObject" and asked["allowed"]]
    swapped = {asked["resource"].partition("/")[2] for asked in puts if "s3:if-match" in asked["context"]}
    assert {key for key in swapped if not key.startswith("probe/")} == {"index/CURRENT"}
    assert not [asked for asked in puts if not {"s3:if-match", "s3:if-none-match"} & set(asked["context"])]
