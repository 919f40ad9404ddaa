"""Short forms of what a rewriting of an OpenVINO graph needs."""

from typing import Any, List, Sequence

import numpy as np

from sfnet_mm.utils.tooling import require


def opset() -> Any:
    """The operators; raises ImportError where OpenVINO is not installed."""
    openvino = require('openvino', 'pip install openvino')
    # Older releases, such as 2024.2, have the operators in a module of their own.
    return (openvino if hasattr(openvino, 'opset13') else openvino.runtime).opset13


def constant(value: Any) -> Any:
    """A Python float as float32, an int as int64, an array in its own type."""
    dtypes = {float: np.float32, int: np.int64}
    return opset().constant(np.asarray(value, dtypes.get(type(value))))


def reshape(x: Any, shape: Sequence[int]) -> Any:
    """``x`` in another shape; one side may be -1."""
    return opset().reshape(x, constant(np.asarray(shape, np.int64)), False)


def transpose(x: Any, order: Sequence[int]) -> Any:
    """``x`` with its axes in another order."""
    return opset().transpose(x, constant(np.asarray(order, np.int64)))


def sides(x: Any) -> List[int]:
    """The shape of a value of known size."""
    return [int(side) for side in x.get_shape()]


def producer(x: Any) -> str:
    """The name of the node that a value comes from."""
    return x.get_node().get_friendly_name()


def kind(x: Any) -> str:
    """The type of the node that a value comes from."""
    return x.get_node().get_type_name()
