"""Published weights: small, safe to read, and as good as those they come from."""

import os.path as osp

import pytest
import torch
from helpers import ROOT, run_tool
from mmengine.logging import HistoryBuffer

from sfnet_mm.deploy.model import load_model

TOOL = 'model_converters/publish'
CONFIG = osp.join(ROOT, 'configs', 'sfnet_df1_camvid.py')


@pytest.fixture(scope='module')
def model():
    torch.manual_seed(0)
    return load_model(CONFIG)


def save(path, state):
    # As mmengine's Runner does.
    hub = dict(log_scalars={'train/loss': HistoryBuffer([1.0], [1])})
    optimizer = dict(state={0: torch.zeros(1000)})
    torch.save(dict(meta={}, state_dict=state, optimizer=optimizer, message_hub=hub), path)


def test_weights_are_half_as_large_and_give_the_same_classes(model, tmp_path):
    src, dst = tmp_path / 'iter_1.pth', tmp_path / 'weights.pth'
    save(src, model.state_dict())
    run_tool(TOOL, CONFIG, str(src), str(dst))
    found = torch.load(dst, weights_only=True)
    assert set(found) == {'meta', 'state_dict'}
    assert found['meta']['config'] == 'sfnet_df1_camvid.py'
    assert found['meta']['dataset_meta']['classes'][0] == 'sky'
    assert len(found['meta']['dataset_meta']['palette']) == 11
    dtypes = {t.dtype for t in found['state_dict'].values() if t.is_floating_point()}
    assert dtypes == {torch.float16}
    floats = sum(t.numel() for t in model.state_dict().values() if t.is_floating_point())
    assert dst.stat().st_size < 2.2 * floats
    assert [p.name for p in tmp_path.iterdir() if 'tmp' in p.name] == []
    loaded = load_model(CONFIG, str(dst))
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        wanted, got = (m.encode_decode(image, [{'img_shape': (64, 64)}]) for m in (model, loaded))
    assert got.dtype == torch.float32
    assert (got - wanted).norm() < 0.01 * wanted.norm()


def test_bad_input_is_named_and_leaves_nothing(model, tmp_path):
    src, dst = tmp_path / 'iter_1.pth', tmp_path / 'weights.pth'
    state = model.state_dict()
    name = next(k for k in state if k.endswith('running_var'))
    save(src, {**state, name: state[name] + 1e6})
    with pytest.raises(SystemExit, match=rf'{name} has values up to 1e\+06: no float16'):
        run_tool(TOOL, CONFIG, str(src), str(dst))
    save(src, {k: v for k, v in state.items() if k != name})
    with pytest.raises(SystemExit, match='does not belong to'):
        run_tool(TOOL, CONFIG, str(src), str(dst))
    with pytest.raises(SystemExit, match=r'none\.pth'):
        run_tool(TOOL, CONFIG, str(tmp_path / 'none.pth'), str(dst))
    with pytest.raises(SystemExit, match='is SRC'):
        run_tool(TOOL, CONFIG, str(src), str(src))
    assert not dst.exists()
