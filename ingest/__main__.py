"""The command line: `lightkeep`."""

from __future__ import annotations

import json
import sys
from typing import Any

import typer

from archive.errors import DamagedData, FormatError, LightkeepError, StoreTrouble
from ingest.commands import (
    demo,
    exporting,
    history,
    identifying,
    keeping,
    quarantine,
    reading,
    serving,
    working,
    writing,
)

__all__ = ["app", "main"]

DONE, REFUSED, USAGE, TROUBLE, INTERRUPTED = 0, 1, 2, 3, 130

_UsageError: Any = typer.BadParameter.__base__  # what typer raises for a wrong call; it exports only this child

app = typer.Typer(
    name="lightkeep",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Keep fibre-optic and solar data in a bucket, and read it straight from there.\n\n"
    "Exit codes: 0 done, 1 some sources were refused, 2 the call is wrong, 3 trouble with the store or its data.",
    epilog="Example: `lightkeep init s3://bucket/porotomo && lightkeep ingest raw/ s3://bucket/porotomo`",
)
app.command("init")(writing.init)
app.command("ingest")(writing.ingest)
app.command("worker")(working.worker)
app.command("metadata")(writing.metadata)
app.command("identify")(identifying.identify)
app.command("ls")(reading.ls)
app.command("info")(reading.info)
app.command("explain")(reading.explain)
app.command("plot")(reading.plot)
app.command("serve")(serving.serve)
app.command("export")(exporting.export)
app.command("compact")(history.compact)
app.command("gc")(history.gc)
app.command("tag")(history.tag)
app.command("log")(history.log)
app.command("rm")(history.rm)
app.command("verify")(keeping.verify)
app.command("repair")(keeping.repair)
app.add_typer(quarantine.app, name="quarantine")
app.command("demo")(demo.demo)


def main() -> None:
    """Run a command; every error is one line that says what to do, never a traceback."""
    try:
        code = app(standalone_mode=False)
        if code == INTERRUPTED:  # typer has caught the interrupt itself
            raise KeyboardInterrupt  # noqa: TRY301 - said below, like one that typer let through
        sys.exit(code if isinstance(code, int) else DONE)
    except LightkeepError as error:
        _say(error)
        sys.exit(_code(error))
    except _UsageError as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        sys.stderr.write("lightkeep: interrupted; what was committed is kept, run the same command again to go on\n")
        sys.exit(INTERRUPTED)


def _code(error: LightkeepError) -> int:
    if isinstance(error, (StoreTrouble, DamagedData)):
        return TROUBLE
    return REFUSED if isinstance(error, FormatError) else USAGE


def _say(error: LightkeepError) -> None:
    line = " ".join(str(error).split())
    if "--json" in sys.argv:
        sys.stdout.write(json.dumps({"error": line, "kind": type(error).__name__}) + "\n")
    sys.stderr.write(f"lightkeep: {line}\n")


if __name__ == "__main__":
    main()
