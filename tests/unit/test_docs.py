"""Every page that the docs link to is there, and every page is linked to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def links(page: Path) -> list[Path]:
    text = page.read_text(encoding="utf-8")
    targets = [target for target in LINK.findall(text) if "://" not in target]
    return [(page.parent / target).resolve() for target in targets]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page: Path):
    missing = [target.name for target in links(page) if not target.exists()]
    assert missing == []


def test_every_page_is_linked_from_somewhere():
    linked = {target for page in PAGES for target in links(page)}
    assert [page.name for page in PAGES[2:] if page.resolve() not in linked] == []
