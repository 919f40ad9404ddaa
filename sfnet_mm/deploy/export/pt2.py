"""Writes a segmentor as a ``.pt2`` file of ``torch.export``, and checks the file against torch.

Such a file runs wherever torch does, without this package, the config or the checkpoint. A file
that AOTInductor compiled ahead of time only runs on processors like the one that compiled it.
"""

import io
import json
import os.path as osp
import shutil
import warnings
from collections.abc import Callable
from typing import Any

import torch
from mmseg.models import BaseSegmentor
from torch import Tensor

from sfnet_mm.utils.tooling import atomic_file, first_line

from ..model import pools_context
from .checks import check_size, check_test
from .export_model import make_export_model, make_reference
from .metadata import metadata
from .parity import Parity, check_parity, compare_with_torch

METADATA = 'metadata.json'


def export_pt2(
    model: BaseSegmentor,
    path: str,
    size: tuple[int, int] = (1024, 2048),
    output: str = 'argmax',
    output_size: str = 'full',
    normalize: bool = False,
    compiled: bool = False,
) -> Parity:
    """Export a segmentor by ``torch.export``, then compare the file with torch.

    The file appears only if the comparison holds.

    Args:
        model: Segmentor in evaluation mode, on the CPU.
        path: Path of the file to write, ending in ``.pt2``.
        size: (height, width) of the image.
        output: See :func:`sfnet_mm.deploy.export_onnx`.
        output_size: See :func:`sfnet_mm.deploy.export_onnx`.
        normalize: See :func:`sfnet_mm.deploy.export_onnx`.
        compiled: Whether to compile the graph by AOTInductor, which needs a C++ compiler.

    Raises:
        ImportError: There is no compiler.
        ValueError: An argument is invalid, or the size is too small for the context pooling.
        RuntimeError: The file does not agree with torch; it is not written.
    """
    if not path.endswith('.pt2'):
        raise ValueError(f'{path} must end in .pt2')
    check_size(size, pools_context(model))
    check_test(model, size, output, normalize)
    if compiled and not any(map(shutil.which, ('c++', 'g++', 'clang++'))):
        raise ImportError('there is no C++ compiler: install g++, or write the file uncompiled')
    wrapped = make_export_model(model, output, output_size, normalize)
    sample = wrapped.sample(1, size)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        program = torch.export.export(wrapped, (sample,), strict=False)
    meta = json.dumps(dict(metadata(model, wrapped.form, size, normalize), fastest_in='torch'))
    with atomic_file(path, '.pt2') as temporary:
        if compiled:
            _compile(program, temporary, meta)
        else:
            torch.export.save(program, temporary, extra_files={METADATA: meta})
        run, _ = read_pt2(temporary, trusted=True)
        expected = make_reference(model, output, output_size, normalize)
        found = compare_with_torch(expected, run, size)
        check_parity([found], 'float32', 'The file')
    return found


def _compile(program: Any, path: str, meta: str) -> None:
    from torch._inductor import aoti_compile_and_package

    options = {'aot_inductor.metadata': {METADATA: meta}}
    try:
        aoti_compile_and_package(program, package_path=path, inductor_configs=options)
    except Exception as e:
        raise RuntimeError(f'AOTInductor cannot compile the model: {first_line(e)}') from None


def read_pt2(path: str, trusted: bool = False) -> tuple[Callable[[Tensor], Tensor], str]:
    """Read a file of :func:`export_pt2`: its graph, and its metadata as JSON (empty if none).

    Args:
        path: Path of the file.
        trusted: Whether to load compiled code. Such code can do whatever its maker wants.

    Raises:
        ValueError: The file is not readable by torch, or it has Python objects or compiled code
            that is not trusted.
    """
    try:
        if _check_archive(path):
            if not trusted:
                raise ValueError(
                    f'{path} holds compiled code: load it with trusted=True if you made it yourself'
                )
            package = torch._inductor.aoti_load_package(path)
            return package, package.get_metadata().get(METADATA, '')
        extra = {METADATA: ''}
        program = torch.export.load(path, extra_files=extra)
    except ValueError:
        raise
    except Exception as e:
        raise ValueError(f'{path} cannot be read as pt2: {first_line(e)}') from None
    return program.module(), extra[METADATA]


def _check_archive(path: str) -> bool:
    """Return whether an archive holds compiled code, and refuse one with pickled objects.

    ``torch.export.load`` unpickles weights that are marked so or that it cannot load as weights
    only.
    """
    archive = torch._C.PyTorchFileReader(path)
    names = archive.get_all_records()
    for name in names:
        base, pickled = osp.basename(name), False
        if base.endswith('_config.json'):
            entries = json.loads(archive.get_record(name)).get('config', {}).values()
            pickled = any(entry.get('use_pickle') for entry in entries)
        elif base.endswith('.pt'):
            pickled = not _weights_only(archive.get_record(name))
        if pickled or base.startswith('custom_obj'):
            raise ValueError(f'{path} has Python objects in {name}, which are not loaded')
    return any('aotinductor' in name for name in names)


def _weights_only(data: bytes) -> bool:
    try:
        torch.load(io.BytesIO(data), weights_only=True)
    except Exception:
        return not data
    return True
