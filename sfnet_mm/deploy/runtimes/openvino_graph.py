"""Provides short functions for building and reading OpenVINO graphs."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sfnet_mm.utils.tooling import require


def opset() -> Any:
    """Return the module of OpenVINO's operators, or raise an ImportError without OpenVINO."""
    openvino = require('openvino', 'pip install openvino')
    # Older releases, such as 2024.2, have the operators in a module of their own.
    return (openvino if hasattr(openvino, 'opset13') else openvino.runtime).opset13


def constant(value: Any) -> Any:
    """Make a constant: float32 of a float, int64 of an int, an array's own type of an array."""
    dtypes = {float: np.float32, int: np.int64}
    return opset().constant(np.asarray(value, dtypes.get(type(value))))


def reshape(x: Any, shape: Sequence[int]) -> Any:
    """Reshape ``x``; one side may be -1."""
    return opset().reshape(x, constant(np.asarray(shape, np.int64)), False)


def transpose(x: Any, order: Sequence[int]) -> Any:
    """Permute the axes of ``x``."""
    return opset().transpose(x, constant(np.asarray(order, np.int64)))


def concatenate(parts: Sequence[Any]) -> Any:
    """Concatenate values along the first axis; a single value stays as it is."""
    return parts[0] if len(parts) == 1 else opset().concat(list(parts), 0)


def concatenate_transposed(parts: Sequence[Any]) -> Any:
    """Concatenate values (r, n) along the first axis and transpose the result to (n, all r).

    The transposition is written as a change of layout of an image, for which OpenVINO has a fast
    path. A plain transposition takes five times as long.
    """
    rows = concatenate(parts)
    count, columns = sides(rows.output(0))
    image = reshape(rows, [1, count, 1, columns])
    return reshape(transpose(image, [0, 3, 1, 2]), [columns, count])


def sides(x: Any) -> list[int]:
    """Return the shape of a value of known size."""
    return [int(side) for side in x.get_shape()]


def is_known(x: Any) -> bool:
    """Return whether a value is float32 and has a known size."""
    return x.get_partial_shape().is_static and x.get_element_type().get_type_name() == 'f32'


def name(x: Any) -> str:
    """Return the unique name of the node that a value comes from."""
    return x.get_node().get_name()


def operands(x: Any | None, kind: str) -> list[Any | None]:
    """Return both inputs of the node that a value comes from, or two None for another kind."""
    if x is None or x.get_node().get_type_name() != kind:
        return [None, None]
    first, second, *_ = x.get_node().input_values()
    return [first, second]
