"""What the documentation site is made of: the repository's Markdown where it lies, so that links hold here and there.

Hooks of mkdocs (``mkdocs.yml`` beside this file).
"""

import os
import re
from pathlib import Path
from posixpath import join, normpath

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGES = ("*.md", "docs/*", "plugins/README.md", "benchmarks/README.md", "benchmarks/results/**/*", "artv/assets/*.md")
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s#:]+)(#[^)\s]*)?\)")


def on_files(files, config):
    """In place of the files of ``docs/``: those of :data:`PAGES`, by their paths in the repository."""
    docs = os.path.realpath(config.docs_dir)
    theme = [file for file in files if file.src_dir is None or os.path.realpath(file.src_dir) != docs]
    paths = sorted({path for pattern in PAGES for path in ROOT.glob(pattern) if path.is_file()})
    uris = [path.relative_to(ROOT).as_posix() for path in paths]
    return Files([*theme, *(File(uri, str(ROOT), config.site_dir, config.use_directory_urls) for uri in uris)])


def on_page_markdown(markdown, page, config, files):
    """A link to what is in the repository and not on the site becomes text; one to nothing stays, and is an error."""

    def kept(link):
        target = normpath(join(Path(page.file.src_uri).parent.as_posix(), link[2]))
        readme = f"{target}/README.md"
        if files.get_file_from_path(readme):
            return f"[{link[1]}]({link[2].rstrip('/')}/README.md)"
        there = (ROOT / target).exists() and not target.startswith("..")
        return link[1] if there and files.get_file_from_path(target) is None else link[0]

    return LINK.sub(kept, markdown)
