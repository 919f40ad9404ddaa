"""The two host defects, the version guard and the safe reading of checkpoints."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner.checkpoint import CheckpointLoader

from sfnet_mm import compat


class RunsCode:
    """Unpickles to a call of ``os.system`` that leaves a file behind."""

    def __init__(self, witness):
        self.witness = witness

    def __reduce__(self):
        return os.system, (f'touch {self.witness}',)


class PrivateMethod:
    def __reduce__(self):
        return getattr, (HistoryBuffer, '_set_default_statistics')


def runner_checkpoint():
    hub = MessageHub('compat')
    for value in (4.0, 2.0):
        hub.update_scalar('train/loss', value)
    hub.update_info('iter', 7)
    return dict(
        message_hub=hub.state_dict(),
        state_dict=dict(weight=torch.arange(3.0)),
        meta=dict(iter=7, seed=np.int64(3), classes=('road',), times=np.arange(2.0)),
    )


def test_runner_checkpoint_loads_through_mmengine(tmp_path):
    path = str(tmp_path / 'iter_7.pth')
    torch.save(runner_checkpoint(), path)
    loaded = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    loss = loaded['message_hub']['log_scalars']['train/loss']
    assert loss.min() == 2.0 and loss.mean() == 3.0 and loss.statistics('max') == 4.0
    assert torch.equal(loaded['state_dict']['weight'], torch.arange(3.0))
    assert loaded['meta']['seed'] == 3 and loaded['meta']['times'].tolist() == [0, 1]


def test_checkpoint_with_code_is_refused_and_not_run(tmp_path):
    witness, path = tmp_path / 'witness', str(tmp_path / 'evil.pth')
    torch.save(dict(state_dict={}, meta=RunsCode(witness)), path)
    with pytest.raises(ValueError, match=r'evil\.pth was refused: it names \w+\.system'):
        CheckpointLoader.load_checkpoint(path)
    assert not witness.exists()


def test_code_in_a_legacy_pickle_is_refused_and_not_run(tmp_path):
    witness, path = tmp_path / 'witness', tmp_path / 'evil.pth'
    path.write_bytes(pickle.dumps(RunsCode(witness), protocol=2))
    with pytest.raises(ValueError, match='evil.pth'):
        compat.load_checkpoint_file(str(path))
    assert not witness.exists()


def test_only_public_history_buffer_methods_are_served(tmp_path):
    path = str(tmp_path / 'private.pth')
    torch.save(dict(meta=PrivateMethod()), path)
    with pytest.raises(ValueError, match='_set_default_statistics'):
        compat.load_checkpoint_file(path)


@pytest.mark.parametrize('keep', [0, 100, 0.5])
def test_truncated_checkpoint_names_the_file(tmp_path, keep):
    path = tmp_path / 'short.pth'
    torch.save(runner_checkpoint(), path)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep if keep > 1 else keep * len(data))])
    with pytest.raises(ValueError, match=r'short\.pth cannot be read|short\.pth was refused') as e:
        compat.load_checkpoint_file(str(path))
    assert '\n' not in str(e.value)


def test_missing_checkpoint_names_the_file():
    with pytest.raises(FileNotFoundError, match='nowhere.pth'):
        compat.load_checkpoint_file('nowhere.pth')


def test_untested_host_is_named_with_the_command(monkeypatch):
    versions = {'mmcv': '2.2.0', 'mmengine': '0.10.7'}

    def version(name):
        if name not in versions:
            raise compat.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(compat.metadata, 'version', version)
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
    def version(name):
        if name not in versions:
            raise compat.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(compat.metadata, 'version', version)
    assert compat.host_family() == family
    compat.check_hosts()


def run_python(code):
    return subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True, check=True
    ).stdout.split()


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
    assert run_python(code)[-2:] == ['False', 'True']


def test_mmengine_still_knows_whether_mmcv_has_ops():
    code = """
import importlib.util, sfnet_mm
from mmengine.utils.dl_utils import mmcv_full_available
try:
    there = importlib.util.find_spec('mmcv._ext') is not None
except ModuleNotFoundError:
    there = False
print(mmcv_full_available() == there)
"""
    assert run_python(code)[-1] == 'True'
