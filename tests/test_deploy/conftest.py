import cv2
import mmcv
import numpy as np
import pytest
import torch
from deploy_helpers import CONFIG, META, SIZE, needs_onnx
from helpers import randomize_norms

from sfnet_mm.deploy import export_onnx, load_model


@pytest.fixture(scope='session')
def checkpoint(tmp_path_factory):
    """A checkpoint with random weights and batch statistics that are not the initial ones."""
    torch.manual_seed(0)
    model = randomize_norms(load_model(CONFIG))
    path = str(tmp_path_factory.mktemp('checkpoint') / 'model.pth')
    torch.save({'state_dict': model.state_dict(), 'meta': {'dataset_meta': META}}, path)
    return path


@pytest.fixture(scope='session')
def onnx_file(checkpoint, tmp_path_factory):
    """That checkpoint as a graph of raw images, full-size logits."""
    needs_onnx()
    path = str(tmp_path_factory.mktemp('onnx') / 'model.onnx')
    export_onnx(load_model(CONFIG, checkpoint), path, SIZE, 'logits', normalize=True)
    return path


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
