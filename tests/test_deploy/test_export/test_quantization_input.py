"""Bad input of quantize.py ends in one line before any work, and files of others need options."""

import pytest
from deploy_helpers import strip_metadata
from mmengine.config import Config
from quantization_helpers import CLASSES, quantize

from sfnet_mm.deploy import load_runtime

onnx = pytest.importorskip('onnx', reason='needs requirements/deploy.txt')


def test_file_of_somebody_else(street, tmp_path):
    strip_metadata(street / 'model.onnx', street / 'foreign.onnx')
    out = tmp_path / 'int8.onnx'
    own = load_runtime('onnxruntime', str(street / 'model.onnx')).meta
    numbers = ['--mean', *own['mean'], '--std', *own['std']]
    options = ['--runtime', 'onnxruntime', '--max-drop', 60, '--classes', ','.join(CLASSES)]
    quantize(street, out, *options, *numbers, model='foreign.onnx')
    found = load_runtime('onnxruntime', str(out)).meta
    for key in ('classes', 'mean', 'std', 'bgr_to_rgb', 'size', 'output', 'output_size'):
        assert found[key] == own[key]


ORT = ['--runtime', 'onnxruntime']
FOREIGN = ['--classes', 'a,b,c', '--mean', '1', '--std', '1']
ZERO = ['--classes', 'a,b,c', '--mean', 1, 1, 1, '--std', 1, 0, 1]
ONES = ['--classes', 'a,b,c', '--mean', 1, 1, 1, '--std', 1, 1, 1]
BAD = {
    'empty': (ORT, 'model.onnx', 'empty.py', 'finds no image in'),
    'absent': (ORT, 'model.onnx', 'absent.py', 'absent.py has no train_dataloader'),
    'no folder': (ORT, 'model.onnx', 'nowhere.py', 'nowhere/images/train does not exist: check d'),
    'unknown': (ORT, 'model.onnx', 'unknown.py', 'unknown.py: train_dataloader: Streets is not in'),
    'masks': (ORT, 'model.onnx', 'masks.py', '2 of 2 masks do not exist'),
    'classes': (ORT, 'model.onnx', 'classes.py', 'has other classes'),
    'foreign': (ORT, 'foreign.onnx', 'config.py', 'of sfnet_mm: give --classes, --mean and --std'),
    'channels': ([*ORT, *FOREIGN], 'foreign.onnx', 'config.py', 'takes 3 channels'),
    'batch': ([*ORT, *ONES], 'batch.onnx', 'config.py', 'batch.onnx has inputs [[2, 3, 96, 128]]'),
    'half': ([*ORT, *ONES], 'half.onnx', 'config.py', 'takes an image of FLOAT16: expected FLOAT'),
    'std': ([*ORT, *ZERO], 'foreign.onnx', 'config.py', '--std 0.0 is not above 0'),
    'bgr': ([*ORT, '--bgr'], 'model.onnx', 'config.py', 'leave --classes, --mean, --std and --bgr'),
    'no graph': (ORT, 'nothing.onnx', 'config.py', 'cannot be read as ONNX: it has no graph'),
    'keep': ([*ORT, '--keep', 'warps'], 'model.onnx', 'config.py', "'warps' is not one of warp, g"),
    'rounds': ([*ORT, '--rounds', 0], 'model.onnx', 'config.py', 'rounds=0 must be 1 or more'),
    'drop': ([*ORT, '--max-drop', 'nan'], 'model.onnx', 'config.py', 'max_drop=nan is no number'),
    'INT8': (ORT, 'int8.onnx', 'config.py', 'int8.onnx is int8: quantize the float32 file'),
    'cut off': (ORT, 'cut.onnx', 'config.py', 'cut.onnx cannot be read as ONNX'),
}


@pytest.fixture(scope='module')
def bad_street(street):
    """The folder ``street`` with the files and configs of ``BAD``."""
    strip_metadata(street / 'model.onnx', street / 'foreign.onnx')
    proto = onnx.load(str(street / 'foreign.onnx'))
    image = proto.graph.input[0].type.tensor_type
    image.shape.dim[0].dim_value = 2
    onnx.save(proto, str(street / 'batch.onnx'))
    image.shape.dim[0].dim_value, image.elem_type = 1, onnx.TensorProto.FLOAT16
    onnx.save(proto, str(street / 'half.onnx'))
    proto = onnx.load(str(street / 'model.onnx'))
    next(p for p in proto.metadata_props if p.key == 'precision').value = '"int8"'
    onnx.save(proto, str(street / 'int8.onnx'))
    (street / 'nothing.onnx').touch()
    (street / 'cut.onnx').write_bytes((street / 'model.onnx').read_bytes()[:-999])
    cfg = Config.fromfile(str(street / 'config.py'))
    (street / 'nothing').mkdir(exist_ok=True)
    cfg.train_dataloader.dataset.data_prefix = dict(img_path='nothing', seg_map_path='nothing')
    cfg.dump(str(street / 'empty.py'))
    cfg.pop('train_dataloader')
    cfg.dump(str(street / 'absent.py'))
    cfg = Config.fromfile(str(street / 'config.py'))
    cfg.val_dataloader.dataset.data_prefix.seg_map_path = 'nothing'
    cfg.dump(str(street / 'masks.py'))
    cfg.train_dataloader.dataset.data_root = 'nowhere'
    cfg.dump(str(street / 'nowhere.py'))
    cfg.train_dataloader.dataset.type = 'Streets'
    cfg.dump(str(street / 'unknown.py'))
    cfg = Config.fromfile(str(street / 'config.py'))
    cfg.train_dataloader.dataset.metainfo = dict(classes=['road', 'sky'])
    cfg.dump(str(street / 'classes.py'))
    return street


@pytest.mark.parametrize('case', BAD)
def test_bad_input_is_one_line(case, bad_street, tmp_path):
    options, model, config, message = BAD[case]
    out = tmp_path / 'int8.onnx'
    with pytest.raises(SystemExit) as stopped:
        quantize(bad_street, out, *options, model=model, config=config)
    line = str(stopped.value)
    assert line.startswith('error: ') and message in line and '\n' not in line
    assert not out.exists()


def test_file_does_not_replace_its_source(street):
    before = (street / 'model.onnx').read_bytes()
    with pytest.raises(SystemExit, match='model.onnx is the file to quantize'):
        quantize(street, street / 'model.onnx', *ORT, '--max-drop', 99)
    assert (street / 'model.onnx').read_bytes() == before
