import pytest
import torch
from authors_reference import AuthorsModel
from helpers import run_tool

TOOL = 'model_converters/sfsegnets2mmseg'


@pytest.fixture(scope='module')
def authors_model():
    """Models of the authors by name, drawn once; their tensors must not be changed."""
    models = {}

    def get(name):
        if name not in models:
            models[name] = AuthorsModel(name, dtype=torch.float32)
        return models[name]

    return get


@pytest.fixture
def refused(capsys):
    """Run the tool, which must fail with one line on stderr; the line and all that was printed."""

    def run(src, dst, *options):
        with pytest.raises(SystemExit) as exit_info:
            run_tool(TOOL, str(src), str(dst), *options)
        message = exit_info.value.code
        assert message.startswith('error: ') and '\n' not in message
        return message, capsys.readouterr().err

    return run
