"""The fenced blocks of pages, and a run of those that are code, one after the other as a reader would."""

from __future__ import annotations

import re
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\S*)[^\n]*\n(?P<body>.*?)^ *```$", re.MULTILINE | re.DOTALL)
RUN = ("python", "bash")
SHOWN = ("text", "ini", "mermaid", "json")  # no code: drawings, settings, signatures


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block: where it begins, what it says that it is, and its text."""

    page: Path
    line: int
    language: str
    body: str


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(
            page=page,
            line=text.count("\n", 0, match.start()) + 1,
            language=match["language"],
            body=textwrap.dedent(match["body"]),
        )
        for match in FENCE.finditer(text)
    ]


# Runs in a process of its own: Python blocks share their names, as cells do; shells end with their block.
DRIVER = """
import json, subprocess, sys, warnings
blocks, prelude = json.load(open("blocks.json"))
names = {"__name__": "page"}
exec(prelude, names)
for where, language, body in blocks:
    print(f"== {where}", flush=True)
    try:
        if language == "python":
            exec(compile(body, where, "exec"), names)
        else:
            subprocess.run(["bash", "-euo", "pipefail", "-c", body], check=True)
    except BaseException as error:
        print(f"{where} failed: {error!r}", file=sys.stderr, flush=True)
        raise
"""


def command() -> list[str]:
    return [sys.executable, "-c", DRIVER]
