"""Wherever a checkpoint comes from, it is read without running code."""

import pickle

import pytest
import torch
from checkpoint_files import RunsCode, runner_checkpoint
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader

from sfnet_mm import compat


class PrivateMethod:
    def __reduce__(self):
        return getattr, (HistoryBuffer, '_set_default_statistics')


def test_runner_checkpoint_loads_through_mmengine(tmp_path):
    path = str(tmp_path / 'iter_7.pth')
    torch.save(runner_checkpoint(), path)
    loaded = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    loss = loaded['message_hub']['log_scalars']['train/loss']
    assert loss.min() == 2.0 and loss.mean() == 3.0 and loss.statistics('max') == 4.0
    assert torch.equal(loaded['state_dict']['weight'], torch.arange(3.0))
    assert loaded['meta']['seed'] == 3 and loaded['meta']['times'].tolist() == [0, 1]


@pytest.mark.parametrize('legacy', [False, True])
def test_code_is_refused_and_not_run(tmp_path, legacy):
    witness, path = tmp_path / 'witness', tmp_path / 'evil.pth'
    torch.save(dict(state_dict={}, meta=RunsCode(witness)), path)
    if legacy:
        path.write_bytes(pickle.dumps(RunsCode(witness), protocol=2))
    with pytest.raises(ValueError, match=r'evil\.pth was refused: it names \w+\.system'):
        CheckpointLoader.load_checkpoint(str(path))
    assert not witness.exists()


def test_only_public_history_buffer_methods_are_served(tmp_path):
    path = str(tmp_path / 'private.pth')
    torch.save(dict(meta=PrivateMethod()), path)
    with pytest.raises(ValueError, match='_set_default_statistics'):
        compat.load_checkpoint_file(path)


@pytest.mark.parametrize('keep', [0, 100, 0.5, b'junk' * 500, b'hello' * 99, b'PK\x03\x04' * 99])
def test_file_that_is_truncated_or_no_checkpoint_is_one_line_of_words(tmp_path, keep):
    path = tmp_path / 'short.pth'
    torch.save(runner_checkpoint(), path)
    data = path.read_bytes()
    path.write_bytes(
        keep if isinstance(keep, bytes) else data[: int(keep if keep > 1 else keep * len(data))]
    )
    line = r'short\.pth (cannot be read \(truncated or no checkpoint\): \w{3}|was refused: not a)'
    with pytest.raises(ValueError, match=line) as e:
        compat.load_checkpoint_file(str(path))
    assert '\n' not in str(e.value)


def test_missing_checkpoint_and_folder_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere.pth'):
        compat.load_checkpoint_file('nowhere.pth')
    with pytest.raises(IsADirectoryError, match='is a folder'):
        compat.load_checkpoint_file(str(tmp_path))


@pytest.mark.parametrize('address', ['{}', 'file://{}', 'file://localhost{}', '~/a%20b.pth'])
def test_addresses_of_local_files_and_names_of_compiled_modules(address, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    path = tmp_path / 'a%20b.pth'
    state = {'_orig_mod.a.w': torch.tensor(1), 'b._orig_mod.w': torch.tensor(2)}
    torch.save(dict(state_dict=state), path)
    uri = str(path).replace('%', '%25') if 'file:' in address else path
    loaded = CheckpointLoader.load_checkpoint(address.format(uri))
    assert loaded['state_dict'] == {'a.w': 1, 'b.w': 2}
