"""The demo page."""

import json
import os
import os.path as osp
import shutil
import sys
import urllib.request

import cv2
import mmcv
import numpy as np
import pytest
from deploy_helpers import CONFIG
from helpers import load_tool

from sfnet_mm.apis import page


def test_page_functions_give_classes_flow_shares_and_time(media, checkpoint):
    image = mmcv.imread(f'{media}/images/street_0.png', channel_order='rgb')
    drawn, sheet, shares, line = page.segment_image(image, CONFIG, checkpoint, 'torch')
    assert drawn.shape == image.shape and sheet.shape[1] > 1000
    assert sum(shares.values()) == pytest.approx(1) and 'ms per image of 160x96' in line
    video, line = page.segment_video(f'{media}/drive.avi', CONFIG, checkpoint, 'torch')
    assert mmcv.VideoReader(video).read() is not None and '3 frames' in line
    with pytest.raises(ValueError, match='choose an image'):
        page.segment_upload(None, CONFIG, checkpoint, 'torch')


def test_page_keeps_its_files_where_nobody_else_can_put_some(checkpoint, monkeypatch):
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
    flags = '--headless=new --no-sandbox --disable-gpu --disable-background-networking '
    flags += '--disable-component-update --disable-sync --no-first-run'
    for flag in flags.split():
        options.add_argument(flag)
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
