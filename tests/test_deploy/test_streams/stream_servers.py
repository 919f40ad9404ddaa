"""Servers on the loopback that break off, for the tests of streams."""

import contextlib
import http.server
import socket
import socketserver
import threading
import time

import cv2
import numpy as np

SIZE = (96, 160)


def number_frame(number, size=SIZE):
    """A frame whose last rows tell its number, modulo 40, by their gray value, even after JPEG.

    The noise above makes it long: what a decoder fills up where a frame is cut off are those rows.
    """
    frame = np.random.default_rng(number).integers(0, 256, (*size, 3), dtype=np.uint8)
    frame[-32:] = 30 + 5 * (number % 40)
    return frame


def number_of(frame):
    """The number of a frame of :func:`number_frame`, modulo 40; None of a damaged one."""
    value = frame[-12:].astype(float)
    return round((value.mean() - 30) / 5) if value.std() < 2 else None


def write_numbers(path, count, rate=25):
    """A video in which each frame can be decoded alone."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), rate, SIZE[::-1])
    for i in range(count):
        writer.write(number_frame(i))
    writer.release()
    return str(path)


class FileHandler(http.server.BaseHTTPRequestHandler):
    """Serves one file without ranges; each answer may end after a number of bytes."""

    def log_message(self, *args):
        pass

    def do_GET(self):
        data = self.server.data
        self.send_response(200)
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        cut = self.server.cuts.pop(0) if self.server.cuts else len(data)
        with contextlib.suppress(OSError):
            self.wfile.write(data[:cut])


class LiveHandler(http.server.BaseHTTPRequestHandler):
    """Sends JPEGs at a rate (multipart/x-mixed-replace), whoever is connected or not."""

    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        if server.sessions <= 0:
            self.send_error(503)
            return
        server.sessions -= 1
        self.send_response(200)
        self.send_header('Content-Type', 'multipart/x-mixed-replace; boundary=frame')
        self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(server.frames_per_session):
                number = int((time.monotonic() - server.began) * server.rate)
                wait = server.began + (number + 1) / server.rate - time.monotonic()
                time.sleep(max(wait, 0))
                jpeg = cv2.imencode('.jpg', number_frame(number + 1))[1].tobytes()
                head = f'--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n'
                self.wfile.write(head.encode() + jpeg + b'\r\n')
                server.sent.append(number + 1)


class LineHandler(socketserver.StreamRequestHandler):
    """Speaks another protocol than HTTP or RTSP."""

    def handle(self):
        self.wfile.write(b'SSH-2.0-server\r\n')


def free_port():
    with socket.socket() as found:
        found.bind(('127.0.0.1', 0))
        return found.getsockname()[1]


@contextlib.contextmanager
def serve(handler, **state):
    """A server on a free port of the loopback, with its state as attributes."""
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    server.daemon_threads = True
    vars(server).update(state)
    thread = threading.Thread(target=server.serve_forever, kwargs=dict(poll_interval=0.05))
    thread.start()
    try:
        yield server, f'http://127.0.0.1:{server.server_port}'
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def file_server(path, cuts=()):
    """The address of a file; answer ``i`` ends after ``cuts[i]`` bytes."""
    with open(path, 'rb') as file:
        data = file.read()
    with serve(FileHandler, data=data, cuts=list(cuts)) as (_, address):
        yield f'{address}/drive.avi'


@contextlib.contextmanager
def live_server(rate, frames_per_session, sessions):
    """A server of a live stream that breaks off after each session."""
    state = dict(rate=rate, frames_per_session=frames_per_session, sessions=sessions)
    with serve(LiveHandler, began=time.monotonic(), sent=[], **state) as (server, address):
        yield server, f'{address}/live.mjpg'
