"""Records the flows and gates of a model while it predicts."""

from dataclasses import dataclass

import torch
import torch.nn as nn
from torch import Tensor

from sfnet_mm.models.layers import FlowAlignmentModule, GatedDualFlowAlignmentModule
from sfnet_mm.ops import flow_warp


@dataclass
class Alignment:
    """Inputs, flow and gate of one FAM or GD-FAM in one forward pass.

    Features are reduced to their mean over channels. Warping mixes no channels, so the warped mean
    is the mean of the warped map.

    Attributes:
        name: Name of the module within the model.
        flow: (N, 2, H, W) for FAM, (N, 4, H, W) for GD-FAM, in the unit of ``flow_warp``.
        gate: (N, 1, H, W) in (0, 1), the share of the coarse map; None for FAM or without gate.
        coarse: (N, 1, h, w), mean of the map of the high level.
        fine: (N, 1, H, W), mean of the map of the low level.
    """

    name: str
    flow: Tensor
    gate: Tensor | None
    coarse: Tensor
    fine: Tensor

    @property
    def kind(self) -> str:
        """The name of the module in the paper."""
        return 'FAM' if self.flow.shape[1] == 2 else 'GD-FAM'

    def warped_coarse(self) -> Tensor:
        """Return the mean of the coarse map after the warp, (N, 1, H, W)."""
        return flow_warp(self.coarse, self.flow[:, :2], backend='native')

    def warped_fine(self) -> Tensor:
        """Return the mean of the fine map after the warp, (N, 1, H, W); for GD-FAM only."""
        return flow_warp(self.fine, self.flow[:, 2:], backend='native')


class AlignmentRecorder:
    """Records every forward pass of every FAM and GD-FAM of a model, from ``start`` to ``stop``.

    As a context manager it records what runs inside. It uses forward hooks, so the model is
    unchanged and computes the same. Tensors are float32 on the CPU.

    Args:
        model: Any module; a model without alignment modules records nothing.

    Attributes:
        records: The records in the order of execution. Several passes of one module (sliding
            window, test-time augmentation) give several records of the same name.
    """

    def __init__(self, model: nn.Module) -> None:
        self.modules = {
            name: module
            for name, module in model.named_modules()
            if isinstance(module, (FlowAlignmentModule, GatedDualFlowAlignmentModule))
        }
        self.records: list[Alignment] = []
        self._handles: list = []

    def first_pass(self) -> list[Alignment]:
        """Return the first record of each module, in the order of execution."""
        firsts: dict = {}
        for record in self.records:
            firsts.setdefault(record.name, record)
        return list(firsts.values())

    def _watch(self, name: str, module: nn.Module) -> None:
        caught: dict = {}

        def catch(key: str):
            def hook(_module, _args, output):
                caught[key] = _on_cpu(output)

            return hook

        def finish(_module, args, _output):
            low, high = args
            gate = caught.pop('gate', None)
            self.records.append(
                Alignment(
                    name=name,
                    flow=caught.pop('flow') * module.flow_scale,
                    gate=None if gate is None else _coarse_gate(gate, module),
                    coarse=_on_cpu(high.float().mean(1, keepdim=True)),
                    fine=_on_cpu(low.float().mean(1, keepdim=True)),
                )
            )

        self._handles.append(module.flow_make.register_forward_hook(catch('flow')))
        if hasattr(module, 'flow_gate'):
            self._handles.append(module.flow_gate.register_forward_hook(catch('gate')))
        self._handles.append(module.register_forward_hook(finish))

    def start(self) -> None:
        """Clear the records and start recording."""
        self.stop()
        self.records.clear()
        for name, module in self.modules.items():
            self._watch(name, module)

    def stop(self) -> None:
        """Stop recording and keep the records."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def __enter__(self) -> 'AlignmentRecorder':
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()


def _coarse_gate(logit: Tensor, module: nn.Module) -> Tensor:
    """Return the weight of the coarse map, even if the gate of the module weights the fine map."""
    share = logit.sigmoid()
    return share if module.gate_weights == 'coarse' else 1 - share


def _on_cpu(x: Tensor) -> Tensor:
    return x.detach().to(device='cpu', dtype=torch.float32)
