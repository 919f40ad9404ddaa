"""The semantic flow warp, the sampling step of FAM and GD-FAM.

SFNet: Semantic Flow for Fast and Accurate Scene Parsing, https://arxiv.org/abs/2002.10120, Eq. 3;
SFNet: Faster and Accurate Semantic Segmentation via Semantic Flow, https://arxiv.org/abs/2207.04415,
sections 3.2 and 3.3. The authors' name is ``flow_warp``, a method of ``AlignedModule``.

The two functions here are the only places where this package samples at fractional positions. Each
has two backends with the same results: ``native`` is written in plain torch and runs everywhere,
``ext`` is one fused kernel, compiled when the package is installed with ``SFNET_MM_WITH_OPS=1``.
"""

import torch
from torch import Tensor

from .exporting import is_exporting
from .loader import EXT
from .native import gated_dual_warp, like, warp, working_dtype
from .row_sums import is_channels_last

BACKENDS = ('auto', 'native', 'ext')


def flow_warp(x: Tensor, flow: Tensor, backend: str = 'auto') -> Tensor:
    """Sample ``x`` where a semantic flow points to.

    Output pixel ``(i, j)`` of ``(H, W)`` is at ``(-1 + 2j / (W - 1), -1 + 2i / (H - 1))`` of the
    normalized map, whose corners are the centers of the corner pixels (``align_corners=True``). The
    flow moves that point by ``(dx / W, dy / H)``; ``x`` is read there bilinearly, as zero outside.
    The normalized side is 2 long, so **a flow of 1 is (W - 1) / 2W output pixels, about half a
    pixel**. This is the unit of the authors' weights; Eq. 2 of the paper is twice as long.

    Positions and sums are computed in float32 (in float64 for a float64 ``x``) whatever the dtypes
    are. A NaN or infinite flow points outside: the result is zero, and so are its gradients.

    Args:
        x: (N, C, h, w), floating point, the map that is sampled.
        flow: (N, 2, H, W), x then y, of any floating-point dtype.
        backend: 'native' (plain torch), 'ext' (the compiled kernel) or 'auto', which takes the
            kernel if there is one for this device, on a CPU only for channels-last maps, and plain
            torch otherwise and during export, so that an exported graph has the standard
            ``GridSample``.

    Returns:
        (N, C, H, W), dtype and memory format of ``x``.

    Raises:
        ValueError: A shape, a dtype, a device or ``backend`` does not fit.
        RuntimeError: ``backend`` is ``'ext'``, but there is no kernel. The message says why.
    """
    _check_map('x', x)
    _check_companion('flow', flow, 2, x, 'x')
    if _use_ext(x, backend):
        return torch.ops.sfnet_mm.flow_warp(x, flow)
    return like(warp(x, flow, working_dtype(x)), x)


def gated_dual_flow_warp(
    high: Tensor,
    low: Tensor,
    flow: Tensor,
    gate: Tensor | None = None,
    backend: str = 'auto',
) -> Tensor:
    """Warp two maps, each by its own flow, and blend them: the fusion of GD-FAM (Eq. 6).

    ``flow_warp(high, flow[:, :2]) * gate + flow_warp(low, flow[:, 2:]) * (1 - gate)``, or the plain
    sum of the two if there is no gate. :func:`flow_warp` defines the unit of the flow.

    Args:
        high: (N, C, h, w), the semantically strong map, usually of a lower resolution.
        low: (N, C, H, W), the detailed map, with the dtype of ``high``. Under autocast the two may
            differ, and the wider dtype is used.
        flow: (N, 4, H, W), x and y for ``high``, then x and y for ``low``.
        gate: (N, 1, H, W), the share of ``high``, or None.
        backend: See :func:`flow_warp`.

    Returns:
        (N, C, H, W), dtype and memory format of ``low``.

    Raises:
        ValueError: A shape, a dtype, a device or ``backend`` does not fit.
        RuntimeError: ``backend`` is ``'ext'``, but there is no kernel. The message says why.
    """
    _check_map('high', high)
    if high.dtype != low.dtype and torch.is_autocast_enabled(high.device.type):
        dtype = torch.promote_types(high.dtype, low.dtype)
        high, low = high.to(dtype), low.to(dtype)
    _check_map('low', low)
    if low.dtype != high.dtype:
        raise ValueError(f'low is {low.dtype} and high is {high.dtype}: convert one of them')
    _check_companion('low', low, high.shape[1], high, 'high')
    _check_companion('flow', flow, 4, low, 'low', same_size=True)
    if gate is not None:
        _check_companion('gate', gate, 1, low, 'low', same_size=True)
    if _use_ext(low, backend):
        return torch.ops.sfnet_mm.gated_dual_flow_warp(high, low, flow, gate)
    return like(gated_dual_warp(high, low, flow, gate, working_dtype(low)), low)


def _use_ext(x: Tensor, backend: str) -> bool:
    if backend == 'native':
        return False
    if backend == 'ext':
        problem = EXT.why_not(x.device.type)
        if problem:
            raise RuntimeError(problem)
        return True
    if backend != 'auto':
        raise ValueError(f"backend is {backend!r}: choose one of 'auto', 'native' and 'ext'")
    # The kernels of the CPU read channels-last maps; to convert others takes longer than it saves.
    fits = x.device.type != 'cpu' or is_channels_last(x)
    return EXT.serves(x.device.type) and fits and not is_exporting()


def _check_map(name: str, x: Tensor) -> None:
    if x.dim() != 4:
        raise ValueError(f'{name} has shape {tuple(x.shape)}: expected (N, C, H, W)')
    if not x.is_floating_point():
        raise ValueError(f'{name} is {x.dtype}: expected a floating-point tensor')
    if torch.jit.is_tracing():
        return
    if x.shape[-2] < 1 or x.shape[-1] < 1:
        raise ValueError(
            f'{name} has shape {tuple(x.shape)}: its height and width must be positive'
        )


def _check_companion(
    name: str, x: Tensor, channels: int, other: Tensor, other_name: str, same_size: bool = False
) -> None:
    """Check rank, dtype, device, batch, channels and maybe size of a tensor given with a map."""
    _check_map(name, x)
    if x.device != other.device:
        raise ValueError(f'{name} is on {x.device} and {other_name} on {other.device}: move one')
    if torch.jit.is_tracing():
        return
    size = tuple(other.shape[-2:]) if same_size else ('H', 'W')
    fits = x.shape[0] == other.shape[0] and x.shape[1] == channels
    if not fits or (same_size and x.shape[-2:] != other.shape[-2:]):
        expected = f'({other.shape[0]}, {channels}, {size[0]}, {size[1]})'
        raise ValueError(
            f'{name} has shape {tuple(x.shape)}: expected {expected} to go with '
            f'{other_name} of shape {tuple(other.shape)}'
        )
