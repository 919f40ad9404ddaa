"""The version guard and mmcv without its compiled operations."""

import subprocess
import sys
from importlib.util import find_spec

import pytest
from mmengine.utils.dl_utils import mmcv_full_available

from sfnet_mm import compat


def install(monkeypatch, versions):
    """Let these packages, and no others, be installed."""

    def version(name):
        if name not in versions:
            raise compat.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(compat.metadata, 'version', version)


def test_untested_host_is_named_with_the_command(monkeypatch):
    install(monkeypatch, {'mmcv': '2.2.0', 'mmengine': '0.10.7'})
    with pytest.raises(ImportError) as e:
        compat.check_hosts()
    message = str(e.value)
    assert 'mmcv 2.2.0 is not in >=2.0.0,<2.2.0' in message
    assert 'mmsegmentation is not installed' in message and 'mmengine' in message
    assert 'pip install mmcv-lite==2.1.0' in message and '\n' not in message


@pytest.mark.parametrize(
    'family, versions',
    [
        ('OpenMMLab', {'mmcv-lite': '2.1.0', 'mmengine': '0.10.7', 'mmsegmentation': '1.2.2'}),
        ('OpenMMLab', {'mmcv': '2.1.0', 'mmengine': '0.10.7', 'mmsegmentation': '1.2.2'}),
        (
            'OneDL',
            {'onedl-mmcv': '2.3.6', 'onedl-mmengine': '0.10.12', 'onedl-mmsegmentation': '1.4.2'},
        ),
    ],
)
def test_both_host_families_are_accepted(monkeypatch, family, versions):
    install(monkeypatch, versions)
    assert compat.host_family() == family
    compat.check_hosts()


def test_without_compiled_mmcv_hosts_import_and_ops_say_what_to_install():
    code = """
import importlib.util, sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name == 'mmcv._ext':
            raise ModuleNotFoundError("No module named 'mmcv._ext'", name=name)
sys.meta_path.insert(0, Block())
import sfnet_mm, mmseg.models, mmcv.ops, torch
print('mmcv._ext' in sys.modules)
try:
    mmcv.ops.nms(torch.rand(2, 4), torch.rand(2), 0.5)
except NotImplementedError as e:
    print(str(e).endswith('make install-full'))
"""
    command = [sys.executable, '-W', 'ignore', '-c', code]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.split()[-2:] == ['False', 'True']


def test_mmengine_still_knows_whether_mmcv_has_ops():
    assert mmcv_full_available() == (find_spec('mmcv._ext') is not None)
