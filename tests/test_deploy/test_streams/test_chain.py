import threading
import time

import cv2
import pytest
from stream_servers import number_of, write_numbers

from sfnet_mm.deploy.streams import FrameReader, Source, run_chain, segment_stream
from sfnet_mm.deploy.streams.channel import Channel


class FakeRuntime:
    """Its network takes some time."""

    def __init__(self, seconds=0.0):
        self.seconds, self.network_ms = seconds, 0.0

    def predict(self, data):
        time.sleep(self.seconds)
        self.network_ms = 900 * self.seconds
        return data


def numbers(tmp_path, count, live=False, rate=0.0):
    """A reader of numbered frames; a live one gets them at a rate."""
    reader = FrameReader(Source('file', write_numbers(tmp_path / 'drive.avi', count)))
    reader.live = live
    if rate:
        decode = reader.decode
        reader.decode = lambda: time.sleep(1 / rate) or decode()
    return reader


def test_stages_overlap_and_a_file_drops_nothing(tmp_path):
    seconds, written = 0.02, []
    runtime = FakeRuntime(seconds)

    def write(number, frame, found, times):
        time.sleep(seconds)
        written.append((number, number_of(frame), found))

    reader = numbers(tmp_path, 30, rate=1 / seconds)
    begin = time.perf_counter()
    summary = run_chain(reader, runtime, lambda frame: runtime.predict(7), write)
    spent = time.perf_counter() - begin
    assert written == [(i, i, 7) for i in range(30)]
    # One after the other they would take three times 0.6 s.
    assert spent < 0.7 * 3 * 30 * seconds
    assert summary.count_line().endswith('30 processed + 0 dropped + 0 lost = 30 frames')
    assert summary.times.median('network') == 900 * seconds
    assert summary.times.median('predict') >= 1000 * seconds
    assert summary.frames_per_second == pytest.approx(30 / spent, rel=0.2)


def test_live_frames_that_inference_is_too_slow_for_are_dropped_and_counted(tmp_path):
    runtime, written = FakeRuntime(0.05), []
    reader = numbers(tmp_path, 60, live=True, rate=100)
    summary = run_chain(reader, runtime, runtime.predict, lambda number, *_: written.append(number))
    assert summary.dropped > 20 and summary.processed == len(written) > 5
    assert summary.processed + summary.dropped == 60
    # The latest frames are the ones that stay.
    assert written[-1] == 59 and written == sorted(written)


def test_first_frames_only_are_read_when_no_more_are_wanted(tmp_path):
    reader = numbers(tmp_path, 30)
    summary = run_chain(reader, FakeRuntime(), lambda frame: 0, lambda *_: None, max_frames=5)
    assert (summary.processed, summary.dropped, summary.lost) == (5, 0, 0)
    assert not summary.stopped


@pytest.mark.parametrize('stage', ['predict', 'write'])
def test_an_error_of_a_stage_ends_them_all(tmp_path, stage):
    threads = threading.active_count()

    def fail(*args):
        raise ValueError(f'{stage} failed')

    predict = fail if stage == 'predict' else lambda frame: 0
    write = fail if stage == 'write' else lambda *_: None
    with pytest.raises(ValueError, match=f'{stage} failed'):
        run_chain(numbers(tmp_path, 100), FakeRuntime(), predict, write)
    assert threading.active_count() == threads


def test_error_of_the_decoder_is_raised(tmp_path):
    reader = numbers(tmp_path, 10)

    def broken():
        raise MemoryError('no memory')

    reader.decode = broken
    with pytest.raises(MemoryError):
        run_chain(reader, FakeRuntime(), lambda frame: 0, lambda *_: None)


def test_channel_waits_or_drops_the_oldest():
    channel = Channel(2, drops=True)
    assert all(channel.put(i) for i in range(5))
    channel.close()
    assert list(channel) == [3, 4] and channel.dropped == 3 and not channel.put(5)
    waiting = Channel(1)
    waiting.put(0)
    thread = threading.Thread(target=waiting.put, args=(1,))
    thread.start()
    thread.join(0.05)
    assert thread.is_alive() and next(iter(waiting)) == 0
    thread.join(5)
    waiting.close(discard=True)
    assert not list(waiting) and waiting.dropped == 1


def test_frames_that_change_their_size_end_the_stream(tmp_path):
    reader = numbers(tmp_path, 10)
    decode = reader.decode

    def larger_after_five():
        image = decode()
        return cv2.resize(image, None, fx=2, fy=2) if reader.received == 5 else image

    reader.decode = larger_after_five
    assert len(list(reader)) == 6 and '160x96 to 320x192' in reader.problem


def test_a_result_that_a_stream_does_not_have_is_named(tmp_path):
    runtime = FakeRuntime()
    runtime.classes, runtime.palette = ['road'], [[0, 0, 0]]
    with pytest.raises(ValueError, match="'masks' is not one of mask, overlay, probability"):
        segment_stream(numbers(tmp_path, 2), runtime, {'masks': str(tmp_path / 'masks')})
    assert not (tmp_path / 'masks').exists()
