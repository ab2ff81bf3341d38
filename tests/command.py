"""A command of the program, run in this process: what it printed and how it ended."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest.mock import patch

from ingest.__main__ import main


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a command."""

    returncode: int
    stdout: str
    stderr: str


def run(*arguments: str, code: int = 0) -> Done:
    """Run `lightkeep`, as its entry point does, and check how it ends."""
    out, errors, ended = io.StringIO(), io.StringIO(), None
    with patch.object(sys, "argv", ["lightkeep", *arguments]), redirect_stdout(out), redirect_stderr(errors):
        try:
            main()
        except SystemExit as end:
            ended = end.code
    assert ended == code, errors.getvalue()
    return Done(ended, out.getvalue(), errors.getvalue())
