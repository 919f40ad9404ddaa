import importlib
import sys

import pytest


def test_import_names_what_to_install(monkeypatch):
    for name in [n for n in sys.modules if n.startswith('sfnet_mm.panoptic')]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, 'mmdet', None)
    monkeypatch.setitem(sys.modules, 'mmdet.models', None)
    with pytest.raises(ImportError, match='needs mmdet.*requirements/panoptic.txt'):
        importlib.import_module('sfnet_mm.panoptic')
