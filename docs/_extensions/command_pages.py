"""Every command of `lightkeep` in Markdown, as the program itself describes it; Sphinx is not needed for this."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def commands(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield each command below a group with the words that call it, in the program's order."""
    for word, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{name} {word}")
        else:
            yield f"{name} {word}", command


def _called(parameter: Any) -> str:
    """Return how a parameter is written: its names, and what stands behind them."""
    if parameter.param_type_name == "argument":
        if parameter.metavar:
            return f"`{parameter.metavar}`"
        return f"`{parameter.name.upper()}{'...' if parameter.nargs == -1 else ''}`"
    names = ", ".join(f"`{option}`" for option in (*parameter.opts, *parameter.secondary_opts))
    if parameter.is_flag:
        return names
    return f"{names} `{parameter.metavar or parameter.name.upper()}`"


def _default(parameter: Any) -> str:
    value = parameter.default
    if parameter.required:
        return "needed"
    if value is None or value is False or value in ((), []) or not parameter.show_default:
        return ""
    return f"`{value}`"


def _row(parameter: Any) -> str:
    cells = (_called(parameter), _default(parameter), " ".join((parameter.help or "").split()))
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def page(level: str = "##") -> str:
    """Return the reference of all commands as Markdown, made from the parser that reads the command line."""
    from typer.main import get_command

    from ingest.__main__ import app

    root = get_command(app)
    parts = [root.help or ""]
    for words, command in commands(root, "lightkeep"):
        arguments = [one for one in command.params if one.param_type_name == "argument"]
        usage = " ".join([words, *(_called(one).strip("`") for one in arguments), "[OPTIONS]"])
        parts += [f"{level} {words}", f"```text\n{usage}\n```", command.help or ""]
        rows = [_row(one) for one in command.params if not getattr(one, "hidden", False) and one.name != "help"]
        if rows:
            parts.append("\n".join(["| what | default | meaning |", "| --- | --- | --- |", *rows]))
    return "\n\n".join(parts)
