import importlib.util
import json
import os.path as osp
import runpy
import shutil
import sys

import cv2
import mmcv
import numpy as np
import pytest
from deploy_helpers import CONFIG, SIZE
from helpers import ROOT


def load_app():
    spec = importlib.util.spec_from_file_location('app', osp.join(ROOT, 'tools', 'demo', 'app.py'))
    app = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(app)
    return app


def predict(monkeypatch, *args):
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


def test_folder_and_video_are_segmented_and_not_done_twice(media, checkpoint, monkeypatch, capsys):
    out = media / 'out'
    args = [CONFIG, checkpoint, media / 'images', media / 'drive.avi', '--out-dir', out]
    predict(monkeypatch, *args)
    names = sorted(p.name for p in out.iterdir())
    assert names == [
        'drive_overlay.webm',
        'street_0_mask.png',
        'street_0_overlay.png',
        'street_1_mask.png',
        'street_1_overlay.png',
    ]
    mask = cv2.imread(str(out / 'street_0_mask.png'), cv2.IMREAD_UNCHANGED)
    assert mask.shape == SIZE and mask.max() < 19
    drawn = mmcv.VideoReader(str(out / 'drive_overlay.webm'))
    assert (drawn.height, drawn.width) == SIZE and drawn.read() is not None
    before = {p.name: p.stat().st_mtime_ns for p in out.iterdir()}
    predict(monkeypatch, *args)
    assert before == {p.name: p.stat().st_mtime_ns for p in out.iterdir()}


@pytest.mark.parametrize(
    'name, message',
    [
        ('missing.png', 'does not exist'),
        ('empty', 'holds no image'),
        ('broken.png', 'cannot be decoded'),
        ('broken.avi', 'cannot be decoded'),
        ('missing.mp4', 'does not exist'),
    ],
)
def test_bad_input_is_named_in_one_line(media, checkpoint, monkeypatch, name, message):
    with pytest.raises(SystemExit, match=message) as caught:
        predict(monkeypatch, CONFIG, checkpoint, media / name, '--out-dir', media / 'out')
    assert name in str(caught.value) and '\n' not in str(caught.value)
    assert not list(media.glob('out/*'))


def test_page_functions_give_classes_flow_shares_and_time(media, checkpoint):
    app = load_app()
    image = mmcv.imread(f'{media}/images/street_0.png', channel_order='rgb')
    drawn, sheet, shares, line = app.segment_image(image, CONFIG, checkpoint, 'torch')
    assert drawn.shape == image.shape and sheet.shape[1] > 1000
    assert sum(shares.values()) == pytest.approx(1) and 'ms per image of 160x96' in line
    video, line = app.segment_video(f'{media}/drive.avi', CONFIG, checkpoint, 'torch')
    assert mmcv.VideoReader(video).read() is not None and '3 frames' in line
    with pytest.raises(ValueError, match='choose an image'):
        app.segment_image(None, CONFIG, checkpoint, 'torch')


def test_page_without_gradio_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, 'gradio', None)
    with pytest.raises(ImportError, match='pip install -r requirements/demo.txt'):
        load_app().build_app(CONFIG, '')


def test_notebook_runs(monkeypatch, checkpoint, tmp_path):
    for name in ('onnx', 'onnxscript', 'onnxruntime'):
        pytest.importorskip(name)
    monkeypatch.chdir(osp.join(ROOT, 'demo'))
    monkeypatch.setenv('SFNET_CHECKPOINT', checkpoint)
    monkeypatch.setenv('SFNET_OUT', str(tmp_path))
    with open('sfnet.ipynb', encoding='utf-8') as f:
        cells = json.load(f)['cells']
    assert len(cells) == 10
    names = {'__name__': '__main__'}
    for cell in cells:
        if cell['cell_type'] == 'code':
            assert not cell['outputs']
            exec(''.join(cell['source']), names)
    assert (tmp_path / 'model.onnx').is_file() and (tmp_path / 'flow.png').is_file()
    assert names['agreement'] >= 0.999


@pytest.mark.slow
def test_page_in_headless_chromium(checkpoint):
    pytest.importorskip('gradio')
    pytest.importorskip('selenium')
    from selenium import webdriver
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    if not shutil.which('chromium') or not shutil.which('chromedriver'):
        pytest.skip('needs chromium and chromedriver, and they are not installed')
    app = load_app().build_app(CONFIG, checkpoint)
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
