import pytest


@pytest.fixture(scope='session')
def street(tmp_path_factory):
    """The folder of :func:`quantization_helpers.make_street`."""
    for package in ('onnx', 'onnxscript', 'onnxruntime'):
        pytest.importorskip(package, reason='needs requirements/deploy.txt')
    from quantization_helpers import make_street

    folder = tmp_path_factory.mktemp('street')
    make_street(folder)
    return folder
