"""Links from pages to files of the repository that are no pages: shown as the file's path, since no host is named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.addnodes import pending_xref

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def _path_of(target: str, page: Path, site: Path) -> str | None:
    """Return the path in the repository of a file that a link leads to, if it lies outside of the site."""
    root = site.parent
    for base in (page.parent, root):  # from the root: the changelog is included from there
        for name in (target, f"{target}.md"):
            file = (base / name).resolve()
            if file.is_file() and file.is_relative_to(root) and not file.is_relative_to(site):
                return str(file.relative_to(root))
    return None


def _replace(app: Sphinx, doctree: nodes.document) -> None:
    """Put the words of such links, with the file's path behind them, in their place."""
    site, page = Path(app.srcdir).resolve(), Path(app.env.doc2path(app.env.current_document.docname))
    for node in list(doctree.findall(pending_xref)):
        path = _path_of(node.get("reftarget", "").partition("#")[0], page, site)
        if path is None:
            continue
        words = node.astext()
        literal = nodes.literal(path, path)
        node.replace_self([literal] if words in {path, ""} else [nodes.Text(f"{words} ("), literal, nodes.Text(")")])


def setup(app: Sphinx) -> dict[str, Any]:
    """Look at each page before Sphinx looks for what its links lead to."""
    app.connect("doctree-read", _replace)
    return {"parallel_read_safe": True}
