"""Checkpoints that come from an address are read without running code, too."""

import http.server
import os
import pickle
import threading

import pytest
import torch
from checkpoint_files import RunsCode, runner_checkpoint
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader, load_checkpoint


class Server:
    """Serves ``files`` (name to bytes) on the loopback; ``announced`` bytes more are promised."""

    def __init__(self):
        self.files, self.announced, self.requests = {}, 0, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path[1:]
                outer.requests.append(name)
                if name not in outer.files:
                    return self.send_error(404)
                data = outer.files[name]
                self.send_response(200)
                self.send_header('Content-Length', str(len(data) + outer.announced))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.url = f'http://127.0.0.1:{self.server.server_port}'
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch_home'))
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    server = Server()
    yield server
    server.server.shutdown()


def as_bytes(value, tmp_path):
    torch.save(value, tmp_path / 'bytes.pth')
    return (tmp_path / 'bytes.pth').read_bytes()


def kept(tmp_path):
    """What lies in the cache of downloads."""
    return [p.name for p in (tmp_path / 'torch_home').rglob('*.pth*') if p.suffix != '.origin']


def resolve_to(monkeypatch, url):
    """Let the names of the model zoos stand for ``url``; returns an address of each scheme."""
    for table in ('get_torchvision_models', 'get_external_models', 'get_mmcls_models'):
        monkeypatch.setattr(mmengine_checkpoint, table, lambda: {'name': url})
    schemes = ('torchvision', 'modelzoo', 'open-mmlab', 'openmmlab', 'mmcls')
    return [url, *(f'{scheme}://name' for scheme in schemes)]


def test_clean_checkpoint_of_every_web_scheme_loads(server, tmp_path, monkeypatch):
    # mmcls:// takes the backbone out of what it gets.
    state = {'backbone.weight': torch.arange(3.0)}
    server.files['clean.pth'] = as_bytes(dict(runner_checkpoint(), state_dict=state), tmp_path)
    for address in resolve_to(monkeypatch, f'{server.url}/clean.pth'):
        loaded = CheckpointLoader.load_checkpoint(address, map_location='cpu')
        (weight,) = loaded['state_dict'].values()
        assert torch.equal(weight, torch.arange(3.0)), address
    assert server.requests == ['clean.pth'] and kept(tmp_path) == ['clean.pth']


@pytest.mark.parametrize('legacy', [False, True])
def test_code_of_every_web_scheme_is_refused_and_not_run(server, tmp_path, monkeypatch, legacy):
    witness = tmp_path / 'witness'
    value = dict(state_dict={}, meta=RunsCode(witness))
    server.files['evil.pth'] = (
        pickle.dumps(value, protocol=2) if legacy else as_bytes(value, tmp_path)
    )
    for address in resolve_to(monkeypatch, f'{server.url}/evil.pth'):
        with pytest.raises(ValueError, match='was refused') as e:
            load_checkpoint(torch.nn.Linear(1, 1), address)
        assert address in str(e.value) or server.url in str(e.value)
        assert '\n' not in str(e.value)
        assert not witness.exists() and kept(tmp_path) == [], address


def test_code_that_another_program_left_in_the_cache_is_not_run(server, tmp_path):
    witness, cache = tmp_path / 'witness', tmp_path / 'torch_home' / 'hub' / 'checkpoints'
    cache.mkdir(parents=True)
    torch.save(RunsCode(witness), cache / 'evil.pth')
    with pytest.raises(ValueError, match=r'evil\.pth \(fetched earlier: delete it'):
        CheckpointLoader.load_checkpoint(f'{server.url}/evil.pth')
    assert not witness.exists()


@pytest.mark.parametrize('prefix', ['mine://', 'https://mirror/'])
@pytest.mark.parametrize('asked', [dict(weights_only=False), dict(), dict(pickle_module=pickle)])
def test_schemes_of_others_cannot_leave_the_safe_mode(tmp_path, monkeypatch, prefix, asked):
    witness, path = tmp_path / 'witness', tmp_path / 'evil.pth'
    torch.save(dict(meta=RunsCode(witness)), path)
    monkeypatch.setattr(CheckpointLoader, '_schemes', dict(CheckpointLoader._schemes))
    # A user's switch that lifts torch's restriction does not count either.
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')

    @CheckpointLoader.register_scheme(prefixes=prefix)
    def load_from_mine(filename, map_location=None):
        return torch.load(path, map_location=map_location, **asked)

    with pytest.raises(ValueError, match='checkpoint .*name'):
        CheckpointLoader.load_checkpoint(f'{prefix}name')
    assert not witness.exists()
    assert os.environ['TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'] == '1'
    assert 'TORCH_FORCE_WEIGHTS_ONLY_LOAD' not in os.environ


def test_object_stores_are_read_in_the_safe_mode(tmp_path, monkeypatch):
    class Store:
        def get(self, name):
            return (tmp_path / 'bytes.pth').read_bytes()

    monkeypatch.setattr(mmengine_checkpoint, 'get_file_backend', lambda *_, **__: Store())
    for address in ('s3://bucket/a.pth', 'petrel://bucket/a.pth', 'open-mmlab:s3://bucket/a.pth'):
        as_bytes(runner_checkpoint(), tmp_path)
        assert CheckpointLoader.load_checkpoint(address)['meta']['iter'] == 7
        as_bytes(RunsCode(tmp_path / 'witness'), tmp_path)
        with pytest.raises(ValueError, match='was refused'):
            CheckpointLoader.load_checkpoint(address)
    assert not (tmp_path / 'witness').exists()


def test_download_that_breaks_off_leaves_nothing_and_can_be_repeated(server, tmp_path):
    server.files['large.pth'] = as_bytes(runner_checkpoint(), tmp_path)
    server.announced = 1000
    with pytest.raises(OSError, match=r'large\.pth cannot be fetched: .*broke off after \d+ of'):
        CheckpointLoader.load_checkpoint(f'{server.url}/large.pth')
    assert kept(tmp_path) == []
    server.announced = 0
    assert CheckpointLoader.load_checkpoint(f'{server.url}/large.pth')['meta']['iter'] == 7


def test_equal_file_names_of_two_addresses_are_two_checkpoints(server, tmp_path):
    names = ('a/best.pth', 'b/best.pth')
    for value, name in enumerate(names):
        server.files[name] = as_bytes(dict(weight=torch.tensor(value)), tmp_path)
    for value, name in [*enumerate(names), *enumerate(names)]:
        loaded = CheckpointLoader.load_checkpoint(f'{server.url}/{name}')
        assert loaded['weight'] == value, name
    server.files.clear()
    assert CheckpointLoader.load_checkpoint(f'{server.url}/b/best.pth')['weight'] == 1
    # A file that was put there by hand stands for any address that ends in its name.
    torch.save(dict(weight=torch.tensor(3)), tmp_path / 'torch_home/hub/checkpoints/own.pth')
    assert CheckpointLoader.load_checkpoint(f'{server.url}/own.pth')['weight'] == 3


def test_address_without_a_file_is_one_line(server, tmp_path, monkeypatch):
    with pytest.raises(OSError, match=r'gone\.pth cannot be fetched: HTTP Error 404'):
        CheckpointLoader.load_checkpoint(f'{server.url}/gone.pth')
    with pytest.raises(ValueError, match='ends in no name of a file'):
        CheckpointLoader.load_checkpoint(f'{server.url}/..')
    resolve_to(monkeypatch, server.url)
    with pytest.raises(ValueError, match="open-mmlab://other: there is no model called 'other'"):
        CheckpointLoader.load_checkpoint('open-mmlab://other')
    assert kept(tmp_path) == []
