"""The command `demo`: the whole way on this machine, with real parts."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ingest.commands.options import AsJson, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from archive.store import Store
    from ingest.synthetic.acquisition import Recording

__all__ = ["demo"]


def demo(
    *,
    url: Annotated[
        str | None,
        typer.Option(
            "--url", help="Where the archive goes; without, into an S3 server that the demo starts.", show_default=False
        ),
    ] = None,
    megabytes: Annotated[int, typer.Option("--megabytes", min=10, help="How much raw data to make.")] = 300,
    picture: Annotated[Path, typer.Option("--picture", help="Where the waterfall goes.")] = Path("demo/waterfall.png"),
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Tasks that run at once.")] = 2,
    as_json: AsJson = False,
) -> None:
    """Go the whole way: make raw files, start a store, init, ingest, query a minute, draw it; and clean up.

    Example: `lightkeep demo --url file:///tmp/archive`
    """
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="lightkeep-demo-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        tell = _Steps(quiet=as_json)
        place, options = _place(stack, url, folder, tell)
        _run(place, options, folder, megabytes=megabytes, picture=picture, jobs=jobs, tell=tell)
        tell.say(f"\nThe picture is {picture}. Everything else that this demo started or made is removed again.")
    if as_json:
        print_json(tell.steps)


class _Steps:
    """Tells what each step did and cost."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self.steps: list[dict[str, Any]] = []

    def say(self, text: str) -> None:
        """Print a line."""
        if not self._quiet:
            typer.echo(text)

    @contextmanager
    def step(self, title: str, command: str, store: Store | None = None) -> Iterator[dict[str, Any]]:
        """Time a step, and count its requests where it works on a store."""
        self.say(f"\n== {title}\n   {command}")
        before, started = store.counts.copy() if store else None, time.monotonic()
        told: dict[str, Any] = {"step": title}
        yield told
        told["seconds"] = round(time.monotonic() - started, 2)
        line = f"   {told.get('text', '')}"
        if store and before is not None:
            spent = store.counts - before
            if spent.requests:
                told.update(requests=spent.requests, read=spent.bytes_read, written=spent.bytes_written)
                line += f"; {spent.requests} requests, {spent.bytes_read / 1e6:.2f} MB in"
                line += f", {spent.bytes_written / 1e6:.2f} MB out"
        self.say(f"{line}  [{told['seconds']:.2f} s]")
        self.steps.append(told)


def _place(stack: ExitStack, url: str | None, folder: Path, tell: _Steps) -> tuple[str, dict[str, Any]]:
    """Return the archive's URL, in a server started for it where none is given."""
    if url is not None:
        name = f"{url.rstrip('/')}/demo-{os.getpid()}"
        if "://" not in url or url.startswith("file:"):
            stack.callback(shutil.rmtree, name.removeprefix("file://"), ignore_errors=True)
        return name, {}
    from ingest.server import serve_s3

    with tell.step("Start an S3 server on this machine", "weed mini -ip=127.0.0.1 ...") as told:
        server = stack.enter_context(serve_s3(folder / "server"))
        told["text"] = f"SeaweedFS answers at {server.endpoint}, process {server.pid}"
    held = {
        "AWS_ACCESS_KEY_ID": server.key,
        "AWS_SECRET_ACCESS_KEY": server.secret,
        "AWS_ENDPOINT_URL": server.endpoint,
    }
    before = {name: os.environ.get(name) for name in held}
    os.environ.update(held)
    stack.callback(_restore, before)
    return f"s3://{server.bucket}/porotomo", {"endpoint_url": server.endpoint}


def _restore(variables: dict[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _run(
    url: str, options: dict[str, Any], folder: Path, *, megabytes: int, picture: Path, jobs: int, tell: _Steps
) -> None:
    from archive.store import open_store
    from ingest.initialise import initialise
    from ingest.synthetic.acquisition import write_acquisition

    with tell.step("Record a fibre: PRODML and TDMS files, as two interrogators write them", f"{folder}/raw") as told:
        recording = write_acquisition(folder / "raw", megabytes=megabytes)
        size = sum(path.stat().st_size for path in (*recording.paths, *recording.late))
        told["text"] = (
            f"{len(recording.paths)} files and a late one, {size / 1e6:.0f} MB; a train, an earthquake, a gap"
        )
    places = [str(folder / "raw" / "prodml"), str(folder / "raw" / "tdms")]
    shared = Path("../shared/raw")
    if shared.is_dir():
        places.append(str(shared))
    store = open_store(url, storage_options=options)
    with tell.step(
        "Make an archive; the store proves first that it keeps its promises", f"lightkeep init {url}", store
    ) as told:
        initialise(store)
        told["text"] = "raced conditional writes, listed, cleaned up"
    _ingest(store, places, recording, url, jobs=jobs, tell=tell)
    _query(url, options, recording, picture, tell)


def _ingest(store: Store, places: list[str], recording: Recording, url: str, *, jobs: int, tell: _Steps) -> None:
    from ingest.run import ingest

    rounds = [
        ("Ingest: describe, plan, encode, commit, fold", places),
        ("The same again: nothing to do, and it says so fast", places),
        ("The late file arrives, and takes its place in time", [str(path) for path in recording.late]),
    ]
    for title, sources in rounds:
        with tell.step(title, f"lightkeep ingest {' '.join(sources)} {url} --jobs {jobs}", store) as told:
            report = ingest(store, sources, jobs=jobs)
            told["report"] = report.to_json()
            told["text"] = (
                f"{report.sources} files into {report.granules} granules, {report.raw / 1e6:.0f} MB as "
                f"{report.stored / 1e6:.0f} MB, {report.commits} commits; {report.known} known, "
                f"{len(report.refusals)} set aside"
            )
    # Workers count their own requests; what is printed above is the coordinator's part.


def _query(url: str, options: dict[str, Any], recording: Recording, picture: Path, tell: _Steps) -> None:
    import numpy as np

    import archive as lk
    from archive.spools import ArchiveRoot
    from ingest.commands.reading import draw

    with tell.step("Open the archive", f'spool = lk.open("{url}")') as told:
        spool = lk.open(url, storage_options=options)
        count = len(spool)
        told["text"] = f"{count} contiguous runs in {len(spool.datasets)} datasets"
    tell.say("\n".join(f"   {line}" for line in repr(spool).splitlines()))
    root = spool.root
    store = root.view.store if isinstance(root, ArchiveRoot) else None
    start = np.datetime64(recording.train, "ns")
    window = (start, start + np.timedelta64(60, "s"))
    first, last = (int(time.astype(np.int64)) for time in window)
    spans = spool.coverage()  # other files of the same folder may be longer, but lie elsewhere in time
    name = max(spool.datasets, key=lambda held: sum(max(min(b, last) - max(a, first), 0) for a, b in spans[held]))
    minute = spool.select(time=window, dataset=name)
    with tell.step(
        "Plan one minute", f'minute = spool.select(time=("{start}", ...), dataset="{name}"); minute.explain()', store
    ) as told:
        told["text"] = str(minute.explain())
    with tell.step("Read it: one wave of requests", "patch = minute[0].load()", store) as told:
        patch = minute[0].load()
        told["text"] = f"{patch.shape[0]} samples of {patch.shape[1]} channels, {patch.nbytes / 1e6:.1f} MB"
    with tell.step("Draw it", "patch.viz.waterfall()") as told:
        picture.parent.mkdir(parents=True, exist_ok=True)
        draw(patch, picture)
        told["text"] = str(picture)
