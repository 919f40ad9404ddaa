"""The site of these pages, built by ``make docs-site``.

The folder of the sources is the repository, so that a page is the same file on the site and in the
clone, and a link between pages or to a config leads to the same place.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from mmcv.transforms.utils import cache_randomness  # noqa: E402

import sfnet_mm  # noqa: E402

project = 'sfnet_mm'
author = copyright = 'sfnet_mm contributors'
release = version = sfnet_mm.__version__
extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon']
root_doc = 'docs/index'
include_patterns = ['*.md', 'docs/*.md', 'weights/*.md']
exclude_patterns = ['docs/_build']
myst_heading_anchors = 3
autodoc_member_order = 'bysource'
autodoc_typehints = 'signature'
napoleon_numpy_docstring = False
html_theme = 'furo'
html_title = f'sfnet_mm {release}'
templates_path = ['templates']
# The address of the site itself leads to its first page.
html_additional_pages = {'index': 'first_page.html'}


# mmcv's decorator of random choices cannot be looked up in a class, as autodoc does.
_bound = cache_randomness.__get__
cache_randomness.__get__ = lambda self, obj, cls: self if obj is None else _bound(self, obj, cls)
