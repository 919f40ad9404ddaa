import functools
import json
import os
import os.path as osp
import re
import shutil

import cv2
import mmcv
import numpy as np
import pytest
import torch
from deploy_helpers import CONFIG, SIZE, needs_onnx
from helpers import ROOT, load_tool, read_text, run_tool

from sfnet_mm.deploy import load_runtime
from sfnet_mm.utils.media import video_format

cached_runtime = functools.cache(load_runtime)


def predict(monkeypatch, *args):
    # Building a model takes longer than all the rest; each of these has a path of its own.
    monkeypatch.setattr(load_tool('demo/predict'), 'load_runtime', cached_runtime)
    run_tool('demo/predict', *args)


def files_below(folder):
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob('[!.]*')}


def test_folder_and_video_are_segmented_and_not_done_twice(media, checkpoint, monkeypatch, capfd):
    out = media / 'out'
    args = [CONFIG, checkpoint, media / 'images', media / 'drive.avi', '--out-dir', out]
    predict(monkeypatch, *args)
    shown = capfd.readouterr()
    assert '3 written, 0 kept' in shown.out and 'tag 0x' not in shown.err + shown.out
    suffix = video_format()[0]
    before = files_below(out)
    assert sorted(before) == [
        f'drive_overlay{suffix}',
        'street_0_mask.png',
        'street_0_overlay.png',
        'street_1_mask.png',
        'street_1_overlay.png',
    ]
    mask = cv2.imread(str(out / 'street_0_mask.png'), cv2.IMREAD_UNCHANGED)
    assert mask.shape == SIZE and mask.max() < 19
    drawn = mmcv.VideoReader(str(out / f'drive_overlay{suffix}'))
    assert (drawn.height, drawn.width) == SIZE and drawn.read() is not None
    predict(monkeypatch, *args)
    assert before == files_below(out) and '0 written, 3 kept' in capfd.readouterr().out


def test_other_weights_options_or_image_are_not_kept(media, checkpoint, monkeypatch, capsys):
    out = media / 'out'
    state = torch.load(checkpoint, weights_only=True)
    weight = state['state_dict']['decode_head.conv_seg.weight']
    state['state_dict']['decode_head.conv_seg.weight'] = -weight
    torch.save(state, media / 'other.pth')

    def result(weights, *options):
        predict(monkeypatch, CONFIG, weights, *options, media / 'images', '--out-dir', out)
        line = capsys.readouterr().out.strip().splitlines()[-1]
        return line.split(':')[0], (out / 'street_0_mask.png').read_bytes()

    line, first = result(checkpoint)
    line, other = result(media / 'other.pth')
    assert line == '2 written, 0 kept' and first != other
    assert result(media / 'other.pth', '--opacity', '0.9') == ('2 written, 0 kept', other)
    shutil.copy(media / 'images/street_1.png', media / 'images/street_0.png')
    line, changed = result(media / 'other.pth', '--opacity', '0.9')
    assert line == '1 written, 1 kept' and changed != other
    (out / 'street_1_overlay.png').unlink()
    assert result(media / 'other.pth', '--opacity', '0.9')[0] == '1 written, 1 kept'


def test_folders_inside_folders_keep_their_frames_apart(media, checkpoint, monkeypatch):
    for i in range(2):
        os.makedirs(media / f'drives/{i}')
        shutil.copy(media / f'images/street_{i}.png', media / f'drives/{i}/frame1.png')
    predict(monkeypatch, CONFIG, checkpoint, media / 'drives', '--out-dir', media / 'out')
    masks = [(media / f'out/{i}/frame1_mask.png').read_bytes() for i in range(2)]
    assert masks[0] != masks[1]
    with pytest.raises(SystemExit, match='would both be written as frame1'):
        files = [media / f'drives/{i}/frame1.png' for i in range(2)]
        predict(monkeypatch, CONFIG, checkpoint, *files, '--out-dir', media / 'other')
    assert not (media / 'other').exists()


def test_a_bad_image_is_named_and_the_others_go_on(media, checkpoint, monkeypatch, capsys):
    whole = (media / 'images/street_0.png').read_bytes()
    jpeg = cv2.imencode('.jpg', np.full((*SIZE, 3), 90, np.uint8))[1]
    (media / 'images/a_cut.jpg').write_bytes(jpeg.tobytes()[: len(jpeg) // 2])
    (media / 'images/cut.png').write_bytes(whole[:999])
    mmcv.imwrite(np.zeros((20, 30, 3), np.uint8), str(media / 'images/small.bmp'))
    (media / 'images/text.png').write_text('no image')
    (media / 'images/loop.png').symlink_to('loop.png')
    with pytest.raises(SystemExit, match='5 of 7 files failed') as caught:
        predict(monkeypatch, CONFIG, checkpoint, media / 'images', '--out-dir', media / 'out')
    assert '\n' not in str(caught.value)
    assert sorted(p.name for p in media.glob('out/*_mask.png')) == [
        'street_0_mask.png',
        'street_1_mask.png',
    ]
    shown = capsys.readouterr()
    for name in ('a_cut.jpg', 'cut.png', 'loop.png', 'small.bmp', 'text.png'):
        lines = [line for line in shown.err.splitlines() if name in line]
        assert len(lines) == 1 and lines[0].startswith('failed: '), shown
    assert '2 written, 0 kept' in shown.out


@pytest.mark.parametrize(
    'name, message',
    [
        ('missing.png', 'does not exist'),
        ('empty', 'holds no image'),
        ('broken.png', 'is truncated'),
        ('broken.avi', 'cannot be decoded'),
        ('missing.mp4', 'does not exist'),
    ],
)
def test_bad_input_is_named_in_one_line(media, checkpoint, monkeypatch, name, message):
    with pytest.raises(SystemExit, match=message) as caught:
        predict(monkeypatch, CONFIG, checkpoint, media / name, '--out-dir', media / 'out')
    assert name in str(caught.value) and '\n' not in str(caught.value)
    assert not (media / 'out').exists()


def test_results_do_not_replace_a_file(media, checkpoint, monkeypatch):
    with pytest.raises(SystemExit, match='broken.png is a file: name a folder'):
        predict(
            monkeypatch, CONFIG, checkpoint, media / 'images', '--out-dir', media / 'broken.png'
        )


def notebook_cells():
    return json.loads(read_text('demo/sfnet.ipynb'))['cells']


def test_notebook_is_stored_with_its_outputs():
    cells = [cell for cell in notebook_cells() if cell['cell_type'] == 'code']
    assert [cell['execution_count'] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell['outputs']]
    assert {output['output_type'] for output in outputs} == {'stream', 'execute_result'}
    assert not [output for output in outputs if output.get('name') == 'stderr']
    text = json.dumps([[o.get('text'), o.get('data', {}).get('text/plain')] for o in outputs])
    assert 'iter_' in text and 'random weights' not in text  # made with trained weights
    assert 'np.' not in text and not re.search(r'(?<![\w.])/\w', text)  # no absolute path
    assert sum('image/png' in output.get('data', {}) for output in outputs) == 3


def test_notebook_runs(monkeypatch, capsys, checkpoint, tmp_path):
    needs_onnx()
    monkeypatch.chdir(osp.join(ROOT, 'demo'))
    monkeypatch.setenv('SFNET_CHECKPOINT', checkpoint)
    monkeypatch.setenv('SFNET_OUT', str(tmp_path))
    cells = notebook_cells()
    assert len(cells) == 10
    names = {'__name__': '__main__'}
    for cell in cells:
        if cell['cell_type'] == 'code':
            exec(''.join(cell['source']), names)
    assert (tmp_path / 'model.onnx').is_file() and (tmp_path / 'flow.png').is_file()
    assert names['agreement'] >= 0.999
    shares = names['class_shares'](names['mask'], names['model'].dataset_meta['classes'])
    assert all(type(share) is float for share in shares.values()) and 'np.' not in str(shares)
    assert 'np.' not in capsys.readouterr().out
