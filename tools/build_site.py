"""Build the site in docs/_build/html beside a real S3 server, which its tutorials use; every warning is an error."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ingest.server import serve_s3

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs/_build/html"
_FETCHED = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=["'](https?:)?//[^"']+""")


def environment(server: object, folder: Path) -> dict[str, str]:
    """Return the environment of what runs in tutorials: the server's keys, and a cache of its own."""
    return {
        **os.environ,
        "AWS_ACCESS_KEY_ID": server.key,
        "AWS_SECRET_ACCESS_KEY": server.secret,
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_REGION": "us-east-1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_PLATFORM_DIRS": "1",
        "MPLCONFIGDIR": str(folder / "matplotlib"),
    }


def main() -> int:
    """Build, and look through the pages for anything that a browser would fetch from elsewhere."""
    shutil.rmtree(OUT, ignore_errors=True)
    with tempfile.TemporaryDirectory() as name, serve_s3(Path(name)) as server:
        words = ["-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-d", f"{name}/doctrees", "docs", str(OUT)]
        done = subprocess.run(  # noqa: S603 - words of our own
            [sys.executable, *words, *sys.argv[1:]], cwd=ROOT, env=environment(server, Path(name)), check=False
        )
    if done.returncode:
        return done.returncode
    fetched = [(page, match[0]) for page in OUT.rglob("*.html") for match in _FETCHED.finditer(page.read_text())]
    for page, what in fetched:
        sys.stderr.write(f"{page}: fetches from elsewhere: {what}\n")
    return 1 if fetched else 0


if __name__ == "__main__":
    sys.exit(main())
