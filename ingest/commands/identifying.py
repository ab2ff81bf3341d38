"""The command `identify`: what raw files are, by their content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ingest.commands.options import AsJson, Options, print_json, storage_options

if TYPE_CHECKING:
    from archive.model import Block, Description
    from ingest.sources import Found

__all__ = ["identify"]


def identify(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Raw files, folders or globs.", show_default=False)
    ],
    *,
    raw_format: Annotated[
        str | None,
        typer.Option("--format", metavar="NAME", help="If it is not to be found out.", show_default=False),
    ] = None,
    options: Options = None,
    as_json: AsJson = False,
) -> None:
    """Tell what raw files are: format, version, blocks, their shapes and times. Reads headers, no samples.

    Example: `lightkeep identify raw/2016-03-14/*.h5`
    """
    from ingest.sources import scan

    named = storage_options(options)
    told = [_told(file, raw_format, named) for file in scan(files, named)]
    if as_json:
        print_json(told)
    else:
        for one in told:
            _print(one)
    if any("error" in one for one in told):
        raise typer.Exit(1)


def _told(file: Found, raw_format: str | None, options: dict[str, Any]) -> dict[str, Any]:
    from archive.errors import FormatError
    from ingest.formats import format_named, open_format
    from ingest.formats import identify as format_of
    from ingest.sources import open_source

    try:
        with open_source(file, options, digest=False) as opened:
            kind = format_named(raw_format) if raw_format else format_of(opened.file, file.url)
            if kind.beside is not None:  # a header, without the samples that lie beside it
                return {"url": file.url, "format": kind.name, "title": kind.title, "beside": kind.beside}
            description = open_format(kind).describe(opened.file)
    except FormatError as error:
        reason = " ".join(str(error).split())
        return {"url": file.url, "error": reason if file.url in reason else f"{file.url}: {reason}"}
    return {"url": file.url, "format": kind.name, "title": kind.title} | _described(description)


def _described(description: Description) -> dict[str, Any]:
    return {"version": description.version, "blocks": [_block(block) for block in description.blocks]}


def _block(block: Block) -> dict[str, Any]:
    from archive.times import ns_to_text
    from ingest.naming import time_of

    time = time_of(block)
    step = time.typical_step
    return {
        "dims": list(block.dims),
        "shape": list(block.shape),
        "dtype": block.dtype.name,
        "first": ns_to_text(time.first) if time.size else None,
        "last": ns_to_text(time.last) if time.size else None,
        "rate_hz": float(10**9 / step) if step else None,
        "attrs": dict(block.attrs),
    }


def _print(told: dict[str, Any]) -> None:
    if "error" in told:
        typer.echo(told["error"], err=True)
        return
    typer.echo(f"{told['url']}: {told['title']} {told.get('version', '')}".rstrip())
    if "beside" in told:
        typer.echo(f"  its samples lie in the {told['beside']} files beside it; ingest the folder")
    for block in told.get("blocks", ()):
        shape = " x ".join(f"{size} {dim}" for dim, size in zip(block["dims"], block["shape"], strict=True))
        rate = f", {block['rate_hz']:g} Hz" if block["rate_hz"] else ""
        typer.echo(f"  {shape}, {block['dtype']}{rate}, {block['first']} to {block['last']}")
