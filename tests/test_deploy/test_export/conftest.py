import pytest
from deploy_helpers import needs_onnx


@pytest.fixture(scope='session')
def street(tmp_path_factory):
    """The folder of :func:`quantization_helpers.make_street`."""
    needs_onnx()
    from quantization_helpers import make_street

    folder = tmp_path_factory.mktemp('street')
    make_street(folder)
    return folder
