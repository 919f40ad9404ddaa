import os.path as osp
import threading
import time

import cv2
import numpy as np
import pytest
from stream_servers import (
    LineHandler,
    file_server,
    free_port,
    live_server,
    number_frame,
    number_of,
    serve,
    write_numbers,
)

from sfnet_mm.deploy.streams import FrameReader, name_streams, parse_source, reader
from sfnet_mm.utils.file_names import NameCollision


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(reader, 'FIRST_PAUSE', 0.02)


def test_served_video_goes_on_where_it_broke_off_without_a_damaged_frame(tmp_path):
    path = write_numbers(tmp_path / 'drive.avi', 300)
    with file_server(path, [osp.getsize(path) // 2, osp.getsize(path) // 3]) as address:
        frames = FrameReader(parse_source(address), 5)
        numbers = [number_of(frame) for frame in frames]
    assert numbers == [i % 40 for i in range(300)]
    assert (frames.received, frames.lost, frames.problem) == (300, 0, '')
    assert frames.reconnections >= 1 and not frames.live


def test_frames_that_the_server_no_longer_gives_are_lost(tmp_path):
    path = write_numbers(tmp_path / 'drive.avi', 100)
    half = osp.getsize(path) // 2
    with file_server(path, [half] * 9) as address:
        frames = FrameReader(parse_source(address), 5, attempts=2)
        received = len(list(frames))
    # It broke off twice at one place, so the file on the server ends there.
    assert 40 < received < 60 and frames.received + frames.lost == 100


def test_file_that_does_not_tell_its_length_waits_for_each_result(tmp_path):
    images = [cv2.imencode('.jpg', number_frame(i))[1].tobytes() for i in range(9)]
    (tmp_path / 'drive.avi').write_bytes(b''.join(images))
    frames = FrameReader(parse_source(str(tmp_path / 'drive.avi')))
    assert not frames.total and not frames.live
    assert [number_of(frame) for frame in frames] == list(range(9)) and not frames.lost


def test_live_stream_counts_about_what_it_missed():
    with live_server(100, 60, 2) as (server, address):
        frames = FrameReader(parse_source(address), 2, attempts=2)
        assert frames.live
        numbers = [number_of(frame) for frame in frames]
    assert None not in numbers and frames.reconnections == 1
    # The last frame of each session is cut off or not followed by another.
    assert frames.received >= 100
    missed = server.sent[60] - server.sent[58]
    assert missed / 2 - 3 <= frames.lost <= 2 * missed + 5
    assert f'broke off after {frames.received} frames' in frames.problem
    assert 'HTTP 503' in frames.problem


def test_stop_ends_the_pause_before_another_attempt(monkeypatch):
    monkeypatch.setattr(reader, 'FIRST_PAUSE', 60)
    stop = threading.Event()
    with live_server(200, 20, 1) as (_, address):
        frames = FrameReader(parse_source(address), 2, stop=stop)
        threading.Timer(0.5, stop.set).start()
        begin = time.monotonic()
        list(frames)
    assert time.monotonic() - begin < 10 and not frames.problem


def test_what_cannot_be_opened_is_named_in_a_line_without_its_password(tmp_path, capfd):
    (tmp_path / 'text.avi').write_text('no video')
    with live_server(10, 1, 0) as (_, address), serve(LineHandler) as (_, other):
        for text, message in (
            (f'http://user:secret@127.0.0.1:{free_port()}/a?token=secret', 'does not answer: Conn'),
            (f'rtsp://user:secret@127.0.0.1:{free_port()}/a', 'does not answer: Conn'),
            (address, 'answers HTTP 503'),
            (f'{other}/a', 'does not answer in HTTP'),
            (f'{other}/a'.replace('http', 'rtsp'), 'is there, but sends no video'),
            ('987', 'camera 987 is not there'),
            ('99999999999', 'camera 99999999999 is not there'),
            (str(tmp_path / 'text.avi'), 'cannot be decoded'),
        ):
            with pytest.raises(ValueError, match=message) as caught:
                FrameReader(parse_source(text), 2)
            assert 'secret' not in str(caught.value) and '\n' not in str(caught.value)
    shown = capfd.readouterr()
    assert not shown.out + shown.err


@pytest.mark.parametrize(
    'text',
    ['ftp://a/b.mp4?secret', 'http://', 'file:///etc/passwd', 'rtsp://a:x/', 'http://a/b c?secret'],
)
def test_other_addresses_are_refused(text):
    with pytest.raises(ValueError, match='with a host behind it') as caught:
        parse_source(text)
    assert 'secret' not in str(caught.value)


def test_digits_are_a_camera_unless_a_file_has_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parse_source('0').kind == 'camera'
    np.save('0', np.zeros(1))
    (tmp_path / '0.npy').rename('0')
    assert parse_source('0').kind == 'file'
    source = parse_source('rtsp://user:secret@10.0.0.1:8554/a/b.sdp?token=secret')
    assert str(source) == 'rtsp://10.0.0.1:8554/a/b.sdp' and source.name == '10_0_0_1_8554_a_b'


def test_no_address_takes_the_place_of_another():
    cameras = ['rtsp://10.0.0.1/live', '0', 'rtsp://10.0.0.1/live']
    assert list(name_streams(cameras)) == ['10_0_0_1__live', 'camera_0']
    with pytest.raises(
        NameCollision, match=r'both be written as cam__live.* http://cam/live: give'
    ):
        name_streams(['http://cam/live?channel=1', 'http://cam/live?channel=2'])
