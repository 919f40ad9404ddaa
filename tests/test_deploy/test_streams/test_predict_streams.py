import functools
import json
import os.path as osp
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
import torch
from deploy_helpers import small_model, smooth_image
from helpers import ROOT, load_tool, run_tool
from mmseg.apis import inference_model
from stream_servers import file_server, free_port, live_server, write_numbers

from sfnet_mm.apis import page
from sfnet_mm.deploy import load_model, load_runtime
from sfnet_mm.deploy.streams import reader

cached_runtime = functools.cache(load_runtime)


@pytest.fixture(autouse=True, scope='module')
def one_thread():
    """A small network is fastest on one thread, and far slower on two where others use them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    # Of the package, because a process reads it, too.
    backbone = dict(type='STDCPyramid', channels=(8, 8, 16, 24, 32))
    return small_model(tmp_path_factory.mktemp('model'), backbone=backbone)[:2]


@pytest.fixture
def predict(model, monkeypatch, tmp_path):
    monkeypatch.setattr(reader, 'FIRST_PAUSE', 0.02)
    monkeypatch.setattr(load_tool('demo/predict'), 'load_runtime', cached_runtime)

    def run(*args):
        run_tool('demo/predict', *model, *args, '--out-dir', tmp_path / 'out')

    return run


def frames_of(path):
    capture = cv2.VideoCapture(str(path))
    count = 0
    while capture.grab():
        count += 1
    return count


def test_300_frames_of_a_server_that_breaks_off_once_are_accounted_for(predict, tmp_path, capsys):
    path = write_numbers(tmp_path / 'drive.avi', 300)
    with file_server(path, [osp.getsize(path) // 2]) as address:
        predict(address, '--save', 'overlay,masks,json')
    shown = capsys.readouterr().out
    line = '/drive.avi: 300 processed + 0 dropped + 0 lost = 300 frames, connected again 1x'
    assert line in shown
    assert 'frames per second end to end; ms per frame in each stage: read' in shown
    (overlay,) = tmp_path.glob('out/127_0_0_1_*_drive_*_overlay.*')
    assert frames_of(overlay) == 300
    (masks,) = tmp_path.glob('out/*_masks')
    assert len(list(masks.iterdir())) == 300
    (shares,) = tmp_path.glob('out/*_shares.json')
    shares = json.loads(shares.read_text())
    assert [entry['frame'] for entry in shares] == list(range(300))
    mask = cv2.imread(str(masks / '000123.png'), cv2.IMREAD_UNCHANGED)
    for i in range(3):
        share = shares[123]['shares'].get(f'class {i}', 0)
        assert share == pytest.approx((mask == i).mean())
    assert shares[123]['seconds'] == pytest.approx(123 / 25, abs=1e-3)


def test_ctrl_c_ends_a_live_stream_with_whole_files(model, tmp_path):
    tool, out = osp.join(ROOT, 'tools', 'demo', 'predict.py'), tmp_path / 'out'
    with live_server(50, 10**6, 1) as (_, address):
        options = ['--save', 'overlay,json', '--out-dir', str(out), '--max-frames', '3000']
        command = [sys.executable, tool, *map(str, model), address, *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        # Its files appear with the first frame, when it listens for the signal.
        while not list(out.glob('*')) and process.poll() is None:
            time.sleep(0.1)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and 'stopped' in output
    (overlay,) = tmp_path.glob('out/*_overlay.*')
    (shares,) = tmp_path.glob('out/*_shares.json')
    last = json.loads(shares.read_text())[-1]['frame']
    # A dropped frame is made up for by the one after it.
    assert frames_of(overlay) == last + 1
    assert len(list(tmp_path.glob('out/*'))) == 2


def test_video_with_folders_of_results_is_made_once(predict, tmp_path, capsys):
    path = write_numbers(tmp_path / 'drive.v2.avi', 5)
    predict(path, '--save', 'masks,confidence,overlay', '--max-frames', 3)
    names = ['confidence', 'margin', 'masks']
    for name in names:
        files = sorted(p.name for p in (tmp_path / f'out/drive.v2_{name}').iterdir())
        assert files == ['000000.png', '000001.png', '000002.png']
    assert '1 written, 0 kept' in capsys.readouterr().out
    predict(path, '--save', 'masks,confidence,overlay', '--max-frames', 3)
    assert '0 written, 1 kept' in capsys.readouterr().out
    predict(path, '--save', 'masks', '--max-frames', 2)
    assert len(list((tmp_path / 'out/drive.v2_masks').iterdir())) == 2


def test_confidence_is_that_of_mmsegs_probabilities(predict, model, tmp_path):
    image = smooth_image()
    cv2.imwrite(str(tmp_path / 'street.png'), image)
    for kind in ('png', 'npy'):
        options = ['--save', 'confidence,json,masks', '--confidence-format', kind]
        predict(tmp_path / 'street.png', *options)
    logits = inference_model(load_model(*model), image).seg_logits.data.double()
    best, second = torch.topk(logits.softmax(0), 2, dim=0).values.numpy()
    probability = np.load(tmp_path / 'out/street_confidence.npy')
    margin = np.load(tmp_path / 'out/street_margin.npy')
    assert np.abs(probability - best).max() < 1e-4
    assert np.abs(margin - (best - second)).max() < 2e-4
    for name, values in (('confidence', best), ('margin', best - second)):
        picture = cv2.imread(str(tmp_path / f'out/street_{name}.png'), cv2.IMREAD_UNCHANGED)
        assert np.abs(picture / 255.0 - values).max() < 0.5 / 255 + 2e-4
    mask = cv2.imread(str(tmp_path / 'out/street_mask.png'), cv2.IMREAD_UNCHANGED)
    assert (mask == logits.argmax(0).numpy()).mean() >= 0.9999
    shares = json.loads((tmp_path / 'out/street_shares.json').read_text())
    assert sum(shares.values()) == pytest.approx(1)
    assert not list(tmp_path.glob('out/*overlay*'))


@pytest.mark.parametrize(
    'source, message',
    [
        ('http://user:secret@127.0.0.1:{port}/live', 'does not answer'),
        ('rtsp://127.0.0.1:{port}/live', 'does not answer'),
        ('987', 'camera 987 is not there'),
        ('ftp://127.0.0.1/a.mp4', 'with a host behind it'),
    ],
)
def test_stream_that_is_not_there_is_one_line(predict, tmp_path, capfd, source, message):
    source = source.format(port=free_port())
    with pytest.raises(SystemExit, match=message) as caught:
        predict(source, '--timeout', 2)
    assert isinstance(caught.value.code, str) and '\n' not in caught.value.code
    assert not (tmp_path / 'out').exists()
    shown = capfd.readouterr()
    assert 'secret' not in shown.out + shown.err + caught.value.code
    assert len(shown.err.splitlines()) <= 1


@pytest.mark.parametrize(
    'options, message',
    [
        (['--max-frames', '-1'], '--max-frames -1 is not 0 or more'),
        (['--reconnect', '-1'], '--reconnect -1 is not 0 or more'),
        (['--timeout', 'nan'], '--timeout nan is not 0 or more'),
        (['--save', 'masks,flow'], "'flow' is not one of masks, overlay, confidence, json"),
    ],
)
def test_bad_options_are_named(predict, capsys, options, message):
    with pytest.raises(SystemExit) as caught:
        predict('0', *options)
    assert message in f'{caught.value.code} {capsys.readouterr().err}'


def test_page_segments_an_address_and_refuses_paths(model, tmp_path):
    path = write_numbers(tmp_path / 'drive.avi', 6)
    with file_server(path) as address:
        video, line = page.segment_camera(address, *model, 'torch')
    assert frames_of(video) == 6 and '6 frames (torch)' in line and 'end to end' in line
    with pytest.raises(ValueError, match='number of a camera, or an rtsp'):
        page.segment_camera(path, *model, 'torch')


@pytest.mark.parametrize(
    'text',
    [
        'ffconcat version 1.0\nfile drive.avi\n',
        '#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/b.mp4\n#EXT-X-ENDLIST\n',
        'v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 5004 RTP/AVP 96\n',
    ],
)
def test_page_takes_no_list_of_files_for_a_video(model, tmp_path, text):
    write_numbers(tmp_path / 'drive.avi', 3)
    (tmp_path / 'upload.mp4').write_text(text)
    with pytest.raises(ValueError, match='not a video of AVI'):
        page.segment_video(str(tmp_path / 'upload.mp4'), *model, 'torch')
