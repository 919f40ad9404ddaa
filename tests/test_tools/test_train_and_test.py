"""What ``tools/train.py`` and ``tools/test.py`` say when something is wrong."""

import os.path as osp
import subprocess
import sys

import pytest
import torch
from helpers import ROOT, build_segmentor, load_config, load_tool, png_dataset, run_tool
from mmengine.config import Config

import sfnet_mm.engine.runner as runner_file
from sfnet_mm.utils.tooling import one_error_line

CONFIG = osp.join(ROOT, 'configs', 'sfnet_lite_stdc1_miniuds.py')


@pytest.fixture
def no_model(monkeypatch):
    """Fail where a model is built."""

    def build(*args, **kwargs):
        pytest.fail('the model was built')

    monkeypatch.setattr(runner_file.Runner, 'build_model', build)


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setattr(runner_file.DataFirstRunner, '_log_env', lambda *args: None)


# A test before a training in one process must not change what the training reads.
@pytest.mark.parametrize('split', ['test', 'train'])
def test_missing_data_is_one_line_before_the_model_is_built(split, tmp_path, no_model):
    config = osp.join(ROOT, 'configs', 'sfnet_r18_cityscapes.py')
    # The training data is wrapped in a ClassUniformDataset.
    inner = 'dataset.dataset' if split == 'train' else 'dataset'
    where = f'{split}_dataloader.{inner}.data_root={tmp_path}/none'
    checkpoint = ['x.pth'] if split == 'test' else []
    args = [config, *checkpoint, '--work-dir', tmp_path / 'work', '--cfg-options', where]
    with pytest.raises(SystemExit) as e:
        run_tool(split, *args)
    assert str(e.value).startswith(f'error: {split}_dataloader: ')
    assert f'{tmp_path}/none' in str(e.value) and '\n' not in str(e.value)


def test_missing_checkpoint_is_one_line_before_the_model_is_built(tmp_path, monkeypatch, no_model):
    monkeypatch.setattr(runner_file, 'read_data_set', lambda *args: None)
    path = f'file://{tmp_path}/none.pth'
    for name, given in (('train', ['--cfg-options', f'load_from={path}']), ('test', [path])):
        with pytest.raises(SystemExit, match=f'^error: checkpoint {path} does not exist$'):
            run_tool(name, CONFIG, *given, '--work-dir', tmp_path)


@pytest.mark.parametrize('wrapper', ['', 'ConcatDataset'])
def test_folder_without_images_is_one_line(wrapper, tmp_path):
    (tmp_path / 'img').mkdir()
    dataset = dict(
        type='mmseg.BaseSegDataset',
        data_prefix=dict(img_path=f'{tmp_path}/img', seg_map_path=f'{tmp_path}/img'),
        metainfo=dict(classes=('a', 'b')),
        pipeline=[],
    )
    if wrapper:
        dataset = dict(type=wrapper, datasets=[dataset])
    line = f'^val_dataloader: BaseSegDataset finds no image in {tmp_path}/img'
    for reason in ('', ', but a.JPG: check img_suffix'):
        with pytest.raises(ValueError, match=f'{line}{reason}$'):
            runner_file.read_data_set(Config(dict(a=dataset)).a, 'val')
        (tmp_path / 'img/a.JPG').touch()


def test_an_empty_list_of_images_is_named(tmp_path):
    (tmp_path / 'img').mkdir()
    (tmp_path / 'img/a.png').touch()
    (tmp_path / 'val.txt').touch()
    dataset = png_dataset(tmp_path, ann_file=f'{tmp_path}/val.txt')
    with pytest.raises(ValueError, match=f'^val_dataloader: {tmp_path}/val.txt lists no image$'):
        runner_file.read_data_set(Config(dict(a=dataset)).a, 'val')


@pytest.mark.parametrize('wrapper', [None, 'RepeatDataset'])
def test_missing_mask_is_named_before_the_run_and_only_if_loaded(wrapper, tmp_path, monkeypatch):
    exists, asked = osp.exists, []
    monkeypatch.setattr(osp, 'exists', lambda path: asked.append(path) or exists(path))
    for name in ('img/a.png', 'img/b.png', 'ann/a.png'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    def read(pipeline):
        dataset = png_dataset(tmp_path, pipeline=pipeline)
        if wrapper:
            dataset = dict(type=wrapper, times=3, dataset=dataset)
        return runner_file.read_data_set(Config(dict(a=dataset)).a, 'train')

    line = '^train_dataloader: BaseSegDataset: 1 of 2 masks do not exist, such as .*ann/b.png'
    with pytest.raises(ValueError, match=line):
        read([dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')])
    # A question for every file would take minutes on a network drive.
    assert [path for path in asked if str(tmp_path) in path] == [f'{tmp_path}/ann/b.png']
    assert len(read([dict(type='LoadImageFromFile')])) == (6 if wrapper else 2)
    (tmp_path / 'ann/b.png').symlink_to('nowhere')
    with pytest.raises(ValueError, match=line):
        read([dict(type='LoadAnnotations')])
    (tmp_path / 'ann/b.png').unlink()
    (tmp_path / 'ann/b.png').touch()
    assert len(read([dict(type='LoadAnnotations')])) == (6 if wrapper else 2)


def test_file_that_a_worker_misses_is_the_last_line(capsys):
    # What torch raises for an error in a process that loads data.
    text = (
        'Caught FileNotFoundError in DataLoader worker process 0.\n'
        'Original Traceback (most recent call last):\n  File ...\n'
        "FileNotFoundError: [Errno 2] No such file or directory: 'mask.png'"
    )
    with pytest.raises(SystemExit) as e, one_error_line(trace=True):
        raise RuntimeError(text)
    assert str(e.value) == (
        "error: FileNotFoundError: [Errno 2] No such file or directory: 'mask.png'"
    )
    assert 'Traceback' in capsys.readouterr().err
    with pytest.raises(KeyError), one_error_line():
        raise KeyError('a fault of the program keeps its traceback')
    line = pytest.raises(SystemExit, match="^error: KeyError: 'pipeline'$")
    with line, one_error_line(trace=True), one_error_line():
        raise KeyError('pipeline')


def test_demo_ends_with_commands_that_the_tools_take():
    commands = load_tool('demo/run').next_commands('work_dirs/demo/train/iter_300.pth')
    assert len(commands) == 3
    for command in commands:
        _, tool_path, *args = command.split()
        assert osp.isfile(osp.join(ROOT, tool_path))
        assert 'work_dirs/demo/train/iter_300.pth' in args
        assert any(osp.isfile(osp.join(ROOT, a)) and a.endswith('.py') for a in args)


def test_help_page_does_not_import_torch():
    """``mim train`` asks for the help page before it starts a training."""
    for name in ('train.py', 'test.py'):
        code = (
            f"import runpy, sys; sys.argv = ['{name}', '-h']\n"
            f"try: runpy.run_path({osp.join(ROOT, 'tools', name)!r}, run_name='__main__')\n"
            "except SystemExit: print('torch' in sys.modules)"
        )
        out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
        assert out.stdout.strip().endswith('False'), out.stderr


@pytest.mark.parametrize(
    'kind, line',
    [
        ('foreign', r'x\.pth does not belong to .*--no-strict tests it'),
        ('diverged', r'x\.pth has NaN or infinite values in 2 tensors.*--no-strict tests it'),
        ('junk', r'x\.pth was refused: not a checkpoint, or a truncated one$'),
    ],
)
def test_unfit_checkpoint_is_refused_unless_asked_for(kind, line, tmp_path, monkeypatch):
    path = tmp_path / 'x.pth'
    if kind == 'junk':
        path.write_bytes(b'junk' * 99)
    else:
        state = {'backbone.fc': torch.ones(1)}
        if kind == 'diverged':
            state = build_segmentor(load_config(osp.relpath(CONFIG, ROOT))).state_dict()
            state['decode_head.conv_seg.weight'][0] = float('nan')
            state['decode_head.conv_seg.bias'][0] = float('inf')
        torch.save(dict(state_dict=state, meta='a text'), path)
    options = [f'test_dataloader.dataset.{k}={v}' for k, v in dict(train=1, val=1).items()]
    options += [f'test_dataloader.dataset.data_root={tmp_path}/data']
    args = [CONFIG, path, '--work-dir', tmp_path / 'work']
    tested = []
    monkeypatch.setattr(runner_file.DataFirstRunner, 'test', lambda self: tested.append(1))
    with pytest.raises(SystemExit, match=line):
        run_tool('test', *args, '--cfg-options', *options)
    assert not tested
    run_tool('test', *args, '--no-strict', '--cfg-options', *options)
    assert tested


@pytest.mark.parametrize('part', ['train', 'test'])
def test_config_without_data_is_one_line(part, tmp_path):
    path = tmp_path / 'c.py'
    path.write_text(f"_base_ = ['{CONFIG}']\n{part}_dataloader = {part}_cfg = None\n")
    args = [path, *(['x.pth'] if part == 'test' else []), '--work-dir', tmp_path / 'work']
    with pytest.raises(SystemExit, match=rf'error: config .*c\.py has no {part}_dataloader'):
        run_tool(part, *args)


def test_work_dir_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(
        SystemExit, match=r'^error: work dir .*file/work cannot be written .*--work-dir$'
    ):
        run_tool('train', CONFIG, '--work-dir', tmp_path / 'file' / 'work')
