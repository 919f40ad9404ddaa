"""Compares the tensors of a checkpoint with those that a module needs."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor


def compare_tensors(expected: Mapping[str, Tensor], given: Mapping[str, Any]) -> dict[str, list]:
    """Find the names at which two sets of tensors differ.

    The counters of batch normalization (``num_batches_tracked``) are not compared, because
    checkpoints that were written before torch had them are complete without them.

    Args:
        expected: Tensors of the module by name.
        given: Values of the checkpoint by name.

    Returns:
        dict: Lists of names, in the order of the mappings: ``missing`` in the checkpoint,
        ``unknown`` to the module, and ``of another shape``, which includes values without a shape.
    """
    own, other = (
        {name: value for name, value in tensors.items() if not name.endswith('num_batches_tracked')}
        for tensors in (expected, given)
    )
    return {
        'missing': [name for name in own if name not in other],
        'unknown': [name for name in other if name not in own],
        'of another shape': [
            name
            for name in own
            if name in other and getattr(other[name], 'shape', None) != own[name].shape
        ],
    }
