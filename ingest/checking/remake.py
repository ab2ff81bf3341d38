"""Making damaged granules anew, from their sources or from what is left of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from archive.errors import DamagedData, FormatError, LightkeepError, NotFound, StoreTrouble
from archive.index.layout import new_granule_key
from archive.index.leaves import encode_leaf
from archive.lazy import StoredPart
from archive.reading import load
from archive.store import Get
from ingest.checking.findings import Finding, Report
from ingest.checking.reseal import replace_parts
from ingest.checking.survey import body_of, look_at_leaves, survey
from ingest.checking.verify import Granules
from ingest.encoders import encoders
from ingest.granule import GranuleContent, GranuleRecord, root_key, write_granule
from ingest.index.ledger import read_segments
from ingest.looking import Finder
from ingest.rereading import Rereading, check_sources, reread

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from archive.index.commits import Source
    from archive.index.dataset import Dataset
    from archive.index.leaves import LeafEntry
    from archive.index.rows import Row
    from archive.store import Store
    from ingest.frames.content import FrameContent

__all__ = ["Remake"]

_ATTEMPTS = 8


class Remake:
    """Makes damaged granules anew and swaps them in under the same row ids.

    Parameters
    ----------
    dry_run
        Look whether the sources are there, and write nothing.
    options
        For the places of raw files, as fsspec takes them.
    """

    def __init__(self, store: Store, dry_run: bool, options: Mapping[str, Any]) -> None:  # noqa: FBT001 - the report's
        self._store, self._dry_run = store, dry_run
        self._how = Rereading(options, Finder(options))
        self.snapshot: int | None = None

    def mend(self, findings: Sequence[Finding]) -> list[Finding]:
        """Mend the granules that findings tell of; return what was done, and what is lost (as damage)."""
        if not findings:
            return []
        keys = {finding.granule for finding in findings}
        held = survey(self._store, whole=False)
        young = [(row, commit.datasets.get(row.dataset)) for commit in held.commits for row in commit.rows]
        rows = [(row, dataset) for row, dataset in young if row.key in keys and dataset is not None]
        for _, dataset, found in look_at_leaves(self._store, held.leaves.values()):
            if not isinstance(found, Finding):
                rows += [(row, dataset) for row in found if row.key in keys]
        files = self._files(held.segments.values(), rows)
        files += [source for commit in held.commits for source in commit.sources]
        answers: list[Finding] = []
        made: dict[str, tuple[Row, Row]] = {}
        for row, dataset in rows:
            wrong = self._really_wrong(row, dataset)
            if wrong:
                answer, new = self._one(row, dataset, files, wrong)
                answers.append(answer)
                if new is not None:
                    made[row.id] = (row, new)
        if made:
            self._swap_in(made)
        gone = keys - {row.key for row, _ in rows}
        older = [one for one in findings if one.granule in gone]
        return [*answers, *(replace(one, what=f"{one.what}; only older snapshots name it") for one in older)]

    def _files(self, segments: Iterable[Any], rows: Sequence[tuple[Row, Dataset]]) -> list[Source]:
        wanted = {part.sha256 for row, _ in rows for part in row.sources}
        found: list[Source] = []
        for segment in segments:
            try:
                found += [one for one in read_segments(self._store, [segment]) if one.sha256 in wanted]
            except DamagedData:
                continue  # the granules may tell
        return found

    def _really_wrong(self, row: Row, dataset: Dataset) -> set[str]:
        """Return the objects of a granule that are damaged, by their checksums."""
        report = Report(mode="full")
        granules = Granules(self._store, report, full=True)
        granules.list_dataset(dataset, whole=False)
        granules.check([row])
        return {finding.key for finding in report.findings if finding.damage}

    def _one(self, row: Row, dataset: Dataset, files: Sequence[Source], wrong: set[str]) -> tuple[Finding, Row | None]:
        def told(what: str, *, damage: bool) -> Finding:
            return Finding(key=row.key, what=what, kind="granule", granule=row.key, damage=damage)

        dataset = dataset.reborn(row.incarnation)
        record = self._record(row, wrong)
        known = list({(one.url, one.sha256): one for one in [*files, *(record.files if record else ())]}.values())
        try:
            if self._dry_run:
                check_sources(row, known, self._how)
                return told("to be read again from its sources", damage=False), None
            content = reread(row, dataset, known, self._how)
            what = "read again from its sources"
        except (NotFound, FormatError, StoreTrouble) as error:
            if wrong & {row.data.key, *(extra.key for extra in row.extras.values())}:
                return told(f"its samples are lost, and its sources cannot be read ({error})", damage=True), None
            what = "made anew around its samples, which are right"
            if self._dry_run:
                return told(f"to be {what}", damage=False), None
            content = self._own(row, record, known)
        instead = (row.key, *(record.instead if record else ()))
        key = new_granule_key(row.dataset, row.time.first)
        if isinstance(content, GranuleContent):
            content = replace(content, attrs=row.attrs, replaces=row.replaces, instead=instead)
            new = write_granule(self._store, dataset, content, key=key)
        else:
            recorded = {"replaces": row.replaces, "instead": instead}
            new = content.write(self._store, dataset, row.time.first, key=key, mapped=encoders().map, **recorded)
        return told(f"{what}, as {new.key}", damage=False), replace(new, id=row.id)

    def _record(self, row: Row, wrong: set[str]) -> GranuleRecord | None:
        if root_key(row.key) in wrong:
            return None
        try:
            return GranuleRecord.decode(
                row.key, body_of(self._store.wave([Get(root_key(row.key))], return_errors=True)[0])
            )
        except LightkeepError:
            return None

    def _own(self, row: Row, record: GranuleRecord | None, files: Sequence[Source]) -> GranuleContent | FrameContent:
        """Return a granule's content as it lies there; headers go where its root is lost."""
        if row.frames is not None:
            from ingest.frames.content import FrameContent

            return FrameContent.stored(self._store, row, files)
        hashes = {part.sha256 for part in row.sources}

        def stored(name: str) -> Any:
            ref = row.data if name == "data" else row.extras[name]
            return load(StoredPart(self._store, ref, tuple(slice(0, size) for size in ref.shape)), limit=None)

        return GranuleContent(
            samples=stored("data"),
            time=row.time,
            recorded={name: stored(name) for name in row.extras},
            sources=row.sources,
            headers=record.headers if record else {},
            files=tuple(one for one in files if one.sha256 in hashes),
        )

    def _swap_in(self, made: dict[str, tuple[Row, Row]]) -> None:
        """Swap rows for those of the granules that were made anew, wherever they lie by now."""
        left = dict(made)
        for _ in range(_ATTEMPTS):
            held = survey(self._store, whole=False)
            leaves: dict[str, LeafEntry | None] = {}
            done: dict[str, list[str]] = defaultdict(list)
            wanted = [
                (leaf, dataset)
                for leaf, dataset in held.leaves.values()
                if any(
                    old.dataset == leaf.dataset and leaf.first <= old.time.last and old.time.first <= leaf.last
                    for old, _ in left.values()
                )
            ]
            for leaf, dataset, rows in look_at_leaves(self._store, wanted):
                if isinstance(rows, Finding):
                    continue
                mine = {row.id for row in rows if row.id in left and row.key == left[row.id][0].key}
                if mine:
                    entry, body = encode_leaf([left[row.id][1] if row.id in mine else row for row in rows], dataset)
                    self._store.create(entry.key, body)
                    leaves[leaf.key] = entry
                    done[entry.key] = sorted(mine)
            if not leaves:
                return  # others have replaced the rows meanwhile
            new = replace_parts(self._store, leaves, {}, "repair")
            if new is not None:
                self.snapshot = new.number
                for leaf in new.leaves:
                    for name in done.get(leaf.key, ()):
                        del left[name]
            if not left:
                return
