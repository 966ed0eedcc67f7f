"""What MkDocs calls while it builds the site: adds generated pages, and files of the repository that are linked to."""

from pathlib import Path
from typing import Any

from docs.generate.outside import folder_page, linked_files, rewritten
from docs.generate.pages import MADE
from docs.generate.settings import settings_table
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

_SETTINGS = "<!-- settings -->"


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add what is made of the code, and what pages link to outside docs/."""
    written = {
        file.src_uri: Path(file.abs_src_path).read_text(encoding="utf-8")
        for file in files.documentation_pages()
        if file.abs_src_path and file.src_uri not in MADE
    }
    for place, make in MADE.items():
        if (standing_in := files.get_file_from_path(place)) is not None:
            files.remove(standing_in)
        files.append(File.generated(config, place, content=make()))
    for place, path in linked_files(written).items():
        whole = {"content": folder_page(path)} if path.is_dir() else {"abs_src_path": str(path)}
        files.append(File.generated(config, place, **whole))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: MkDocsConfig, files: Files) -> str:
    """Fill in the table of settings, and let links out of docs/ lead to the files that came along."""
    if page.file.abs_src_path:
        markdown = rewritten(markdown, page.file.src_uri, Path(page.file.abs_src_path))
    return markdown.replace(_SETTINGS, settings_table())
