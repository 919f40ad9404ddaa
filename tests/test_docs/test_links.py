"""Links of the pages: those inside of the repository lead somewhere, the others are addresses."""

import os.path as osp
import re
from functools import cache
from urllib.parse import urlparse

import pytest
from doc_blocks import pages
from helpers import ROOT, read_text
from markdown_it import MarkdownIt

PAGES = [*pages(), 'CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md', 'weights/README.md']


@cache
def parsed(page):
    return MarkdownIt().enable('table').parse(read_text(page))


@cache
def anchors(page):
    """What the headings of a page are called in links, as GitHub and the site name them."""
    tokens = parsed(page)
    titles = [
        after.content for token, after in zip(tokens, tokens[1:]) if token.type == 'heading_open'
    ]
    return {re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-') for title in titles}


def targets(page):
    for token in parsed(page):
        for child in token.children or ():
            if child.type in ('link_open', 'image'):
                yield child.attrs.get('href') or child.attrs.get('src')


@pytest.mark.parametrize('page', PAGES)
def test_links_lead_somewhere(page):
    for target in targets(page):
        url = urlparse(target)
        if url.scheme:
            assert url.scheme in ('http', 'https') and '.' in url.netloc, f'{page}: {target}'
            continue
        path = osp.normpath(osp.join(osp.dirname(page), url.path)) if url.path else page
        assert osp.isfile(osp.join(ROOT, path)), f'{page}: {target} leads to no file'
        if url.fragment:
            assert url.fragment in anchors(path), f'{page}: {path} has no heading #{url.fragment}'


def test_every_page_is_on_the_site():
    listed = set(read_text('docs/index.md').split())
    for page in PAGES:
        name = osp.splitext(osp.relpath(page, 'docs') if page.startswith('docs') else f'/{page}')[0]
        fragment = page.startswith('docs/benchmarks/') or page == 'docs/index.md'
        assert fragment or name in listed, f'docs/index.md does not list {page}'
