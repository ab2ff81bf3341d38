"""Without the extra, what needs it says how to install it, and nothing else is loaded for it."""

from __future__ import annotations

import subprocess
import sys


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_a_missing_library_is_an_error_that_says_the_command() -> None:
    said = run("import sys; sys.modules['astropy'] = None; import archive.cube")
    assert "MissingExtra" in said.splitlines()[-1]
    assert "pip install 'lightkeep[frames]'" in said


def test_archive_alone_loads_no_library_of_the_frames() -> None:
    code = "import archive, sys; archive.Spool; print({'astropy', 'asdf', 'gwcs'} & set(sys.modules))"
    assert run(code).strip() == "set()"
