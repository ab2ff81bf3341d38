"""The directive `command-line`: the reference of all commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from command_pages import page
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx


class CommandLine(SphinxDirective):
    """Put the reference in the place of the directive."""

    def run(self) -> list[nodes.Node]:
        """Return what the reference's Markdown is parsed to."""
        self.env.note_reread()
        return self.parse_text_to_nodes(page(), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive to Sphinx."""
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True}
