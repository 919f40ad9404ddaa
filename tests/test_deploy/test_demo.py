import functools
import json
import os
import os.path as osp
import re
import runpy
import shutil
import sys
import urllib.request

import cv2
import mmcv
import numpy as np
import pytest
import torch
from deploy_helpers import CONFIG, SIZE
from helpers import ROOT, load_tool

import sfnet_mm.deploy
from sfnet_mm.apis import page
from sfnet_mm.utils.media import video_format

cached_runtime = functools.cache(sfnet_mm.deploy.load_runtime)


def predict(monkeypatch, *args):
    # Building a model takes longer than all the rest; each of these has a path of its own.
    monkeypatch.setattr(sfnet_mm.deploy, 'load_runtime', cached_runtime)
    monkeypatch.setattr(sys, 'argv', ['predict.py', *map(str, args)])
    runpy.run_path(osp.join(ROOT, 'tools', 'demo', 'predict.py'), run_name='__main__')


@pytest.fixture
def media(tmp_path):
    """A folder of two images, a video of three frames, and files that are neither."""
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8) for _ in range(3)]
    for i in range(2):
        mmcv.imwrite(frames[i], f'{tmp_path}/images/street_{i}.png')
    writer = cv2.VideoWriter(
        f'{tmp_path}/drive.avi', cv2.VideoWriter_fourcc(*'MJPG'), 5, SIZE[::-1]
    )
    for frame in frames:
        writer.write(frame)
    writer.release()
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'broken.avi').write_bytes(b'RIFF of nothing')
    (tmp_path / 'broken.png').write_bytes(b'\x89PNG of nothing')
    return tmp_path


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
        predict(monkeypatch, CONFIG, weights, media / 'images', '--out-dir', out, *options)
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
    with pytest.raises(SystemExit, match='4 of 6 files failed') as caught:
        predict(monkeypatch, CONFIG, checkpoint, media / 'images', '--out-dir', media / 'out')
    assert '\n' not in str(caught.value)
    assert sorted(p.name for p in media.glob('out/*_mask.png')) == [
        'street_0_mask.png',
        'street_1_mask.png',
    ]
    shown = capsys.readouterr()
    for name in ('a_cut.jpg', 'cut.png', 'small.bmp', 'text.png'):
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


def test_page_functions_give_classes_flow_shares_and_time(media, checkpoint):
    image = mmcv.imread(f'{media}/images/street_0.png', channel_order='rgb')
    drawn, sheet, shares, line = page.segment_image(image, CONFIG, checkpoint, 'torch')
    assert drawn.shape == image.shape and sheet.shape[1] > 1000
    assert sum(shares.values()) == pytest.approx(1) and 'ms per image of 160x96' in line
    video, line = page.segment_video(f'{media}/drive.avi', CONFIG, checkpoint, 'torch')
    assert mmcv.VideoReader(video).read() is not None and '3 frames' in line
    with pytest.raises(ValueError, match='choose an image'):
        page.segment_upload(None, CONFIG, checkpoint, 'torch')


def test_page_keeps_its_files_where_nobody_else_can_put_some(media, checkpoint, monkeypatch):
    folder = page.private_folder()
    assert os.stat(folder).st_mode & 0o077 == 0
    exported = []

    def export(model, path, *args, **kwargs):
        exported.append(path)

    monkeypatch.setattr(page, 'export_onnx', export)
    monkeypatch.setattr(page, 'load_runtime', lambda *args: None)
    page.load(CONFIG, checkpoint, 'onnxruntime')
    paths = [*exported, *page.sample_images()]
    assert len(paths) == 5 and all(osp.dirname(p) == folder for p in paths)


def test_page_refuses_large_images_before_they_are_decoded(tmp_path, monkeypatch):
    cv2.imwrite(str(tmp_path / 'large.png'), np.zeros((5000, 4000), np.uint8))
    monkeypatch.setattr(page, 'read_image', lambda path: pytest.fail('it was decoded'))
    with pytest.raises(ValueError, match='4000x5000 pixels are too many for the page'):
        page.read_upload(str(tmp_path / 'large.png'))


@pytest.mark.parametrize(
    'host, local',
    [
        ('127.0.0.1', True),
        ('127.8.0.1', True),
        ('::1', True),
        ('localhost', True),
        ('0.0.0.0', False),
        ('::', False),
        ('192.168.1.2', False),
        ('example.org', False),
        ('', False),
    ],
)
def test_page_knows_whether_others_reach_it(host, local):
    assert page.is_loopback(host) is local


def ask(url, *data):
    """The events by which the page answers a request of a browser for ``api_name='image'``."""
    call = f'{url}gradio_api/call/image'
    headers = {'Content-Type': 'application/json'}
    request = urllib.request.Request(call, json.dumps({'data': data}).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        event = json.load(answer)['event_id']
    with urllib.request.urlopen(f'{call}/{event}', timeout=60) as answer:
        return answer.read().decode()


def test_page_for_others_takes_neither_paths_nor_addresses(media, checkpoint, monkeypatch):
    pytest.importorskip('gradio')
    client = pytest.importorskip('gradio_client')
    app = load_tool('demo/app')
    build = app.build_app
    for local in (True, False):
        built = build(CONFIG, checkpoint, local)
        assert ('Dropdown' in {type(b).__name__ for b in built.blocks.values()}) is local
        # What opens a camera or an address is not there for others, even if they know its name.
        assert ('/camera' in built.get_api_info()['named_endpoints']) is local

    loaded = []
    load = page.load
    monkeypatch.setattr(page, 'load', lambda *args: loaded.append(args) or load(*args))
    served = build(CONFIG, checkpoint, local=False)
    _, url, _ = served.launch(prevent_thread_lock=True, share=False, quiet=True)
    try:
        image = client.handle_file(f'{media}/images/street_0.png')
        *_, line = client.Client(url, verbose=False).predict(image, 'torch', api_name='/image')
        assert 'ms per image of 160x96' in line and loaded == [(CONFIG, checkpoint, 'torch')]
        address = f'{url}gradio_api/startup-events'
        for path in (str(media / 'images' / 'street_0.png'), address):
            file = {'path': path, 'meta': {'_type': 'gradio.FileData'}}
            answer = ask(url, file, 'torch')
            assert 'event: error' in answer and 'complete' not in answer, path
        assert 'no addresses' in answer
        # Settings that the page does not show do not reach the model.
        file = {'path': app.sample_images()[0], 'meta': {'_type': 'gradio.FileData'}}
        ask(url, file, 'torch', 'other_config.py', '/tmp/other.pth')
        assert set(loaded) == {(CONFIG, checkpoint, 'torch')}
    finally:
        served.close()


def test_page_without_gradio_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, 'gradio', None)
    with pytest.raises(ImportError, match='pip install -r requirements/demo.txt'):
        load_tool('demo/app').build_app(CONFIG, '')


def notebook_cells():
    with open(osp.join(ROOT, 'demo', 'sfnet.ipynb'), encoding='utf-8') as f:
        return json.load(f)['cells']


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
    for name in ('onnx', 'onnxscript', 'onnxruntime'):
        pytest.importorskip(name)
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


@pytest.mark.slow
def test_page_in_headless_chromium(checkpoint):
    pytest.importorskip('gradio')
    pytest.importorskip('selenium')
    from selenium import webdriver
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    if not shutil.which('chromium') or not shutil.which('chromedriver'):
        pytest.skip('needs chromium and chromedriver, and they are not installed')
    app = load_tool('demo/app').build_app(CONFIG, checkpoint)
    _, url, _ = app.launch(prevent_thread_lock=True, share=False, quiet=True)
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which('chromium')
    for flag in (
        'headless=new',
        'no-sandbox',
        'disable-gpu',
        'disable-background-networking',
        'disable-component-update',
        'disable-sync',
        'no-first-run',
    ):
        options.add_argument(f'--{flag}')
    service = webdriver.ChromeService(shutil.which('chromedriver'))
    browser = webdriver.Chrome(options, service)
    try:
        browser.get(url)
        wait = WebDriverWait(browser, 120)

        def pictures(b):
            return len(b.find_elements(By.CSS_SELECTOR, 'img[src*="file="]'))

        def spent(b):
            box = b.find_element(By.CSS_SELECTOR, '#time textarea, #time input')
            return box.get_attribute('value') or ''

        wait.until(lambda b: b.find_elements(By.ID, 'segment') and pictures(b))
        before = pictures(browser)
        browser.find_element(By.ID, 'segment').click()
        wait.until(lambda b: 'ms per image' in spent(b))
        # the classes over the image, and the flow and gate
        wait.until(lambda b: pictures(b) >= before + 2)
    finally:
        browser.quit()
        app.close()
