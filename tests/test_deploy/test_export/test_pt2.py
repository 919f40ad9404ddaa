"""Files of torch.export: the masks of mmseg, the metadata, and nothing that is unpickled."""

import json
import shutil
import zipfile

import pytest
import torch
from checkpoint_files import RunsCode
from deploy_helpers import SIZE, predicted_by_mmseg, small_model, smooth_image
from helpers import run_tool
from torch._inductor import config as inductor

from sfnet_mm.deploy import load_runtime


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    """A small model, its file, and the mask of mmseg."""
    folder = tmp_path_factory.mktemp('pt2')
    # A network with a pyramid context takes twice as long to compile.
    context = dict(type='PyramidContext', mode='none')
    config, checkpoint, _ = small_model(str(folder), head=dict(context=context))
    path = str(folder / 'model.pt2')
    run_tool('deployment/export_pt2', config, checkpoint, path, '--size', '96x160')
    return config, checkpoint, path, predicted_by_mmseg(config, checkpoint, smooth_image())


def test_file_gives_the_mask_of_mmseg(small):
    *_, path, expected = small
    runtime = load_runtime('pt2', path)
    mask = runtime.predict(smooth_image())
    assert mask.shape == expected.shape and (mask == expected).mean() > 0.999
    assert runtime.classes == ['class 0', 'class 1', 'class 2']
    assert runtime.palette == [[0, 0, 90], [1, 0, 90], [2, 0, 90]]
    assert tuple(runtime.meta['size']) == SIZE


@pytest.mark.slow
@pytest.mark.skipif(shutil.which('g++') is None, reason='needs the compiler g++')
def test_compiled_file_is_loaded_if_it_is_trusted(small, tmp_path):
    config, checkpoint, _, expected = small
    path = str(tmp_path / 'compiled.pt2')
    arguments = (config, checkpoint, path, '--size', '96x160', '--compile')
    quick = {'aot_inductor.compile_wrapper_opt_level': 'O0', 'cpp.simdlen': 1}
    with inductor.patch(quick):  # in half the time
        run_tool('deployment/export_pt2', *arguments)
    with pytest.raises(ValueError, match='compiled code: load it with trusted=True'):
        load_runtime('pt2', path)
    runtime = load_runtime('pt2', path, trusted=True)
    assert (runtime.predict(smooth_image()) == expected).mean() > 0.999
    assert runtime.classes == ['class 0', 'class 1', 'class 2']


def rewritten(source, target, change):
    """A copy of an archive whose records a function may change."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, 'w') as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return str(target)


@pytest.mark.parametrize('where', ['weights', 'inputs'])
def test_python_objects_are_not_unpickled(where, small, tmp_path):
    planted = tmp_path / 'planted'
    buffer = tmp_path / 'object.pt'
    torch.save(RunsCode(planted), buffer)

    def change(name, data):
        if where == 'inputs' and name.endswith('.pt'):
            return buffer.read_bytes()
        if where == 'weights' and name.endswith('weights_config.json'):
            config = json.loads(data)
            for entry in config['config'].values():
                entry['use_pickle'] = True
            return json.dumps(config)
        if where == 'weights' and '/weights/weight_' in name:
            return buffer.read_bytes()
        return data

    path = rewritten(small[2], tmp_path / 'planted.pt2', change)
    with pytest.raises(ValueError, match='has Python objects in .*, which are not loaded'):
        load_runtime('pt2', path)
    assert not planted.exists()


def test_other_files_are_refused_in_one_line(tmp_path):
    path = tmp_path / 'model.pt2'
    path.write_bytes(b'no archive')
    with pytest.raises(ValueError, match='cannot be read as pt2'):
        load_runtime('pt2', str(path))
    program = torch.export.export(torch.nn.Linear(2, 2), (torch.rand(1, 2),))
    torch.export.save(program, str(path))
    with pytest.raises(ValueError, match='has no metadata of sfnet_mm'):
        load_runtime('pt2', str(path))
