"""Follows the flows and gates of FAM and GD-FAM through a training."""

import statistics
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from sfnet_mm.utils.tables import markdown_table
from sfnet_mm.visualization import AlignmentRecorder, flow_to_pixels

HISTORY = 'alignment_history'


class AlignmentMonitorHook(Hook):
    """Measures flows, gates and gradients at some iterations of a training.

    The measurements are stored in the message hub, so that checkpoints keep them.
    :func:`history_of` reads them. Each is a dict with the iteration (from 1), the name of the
    module, and

    * ``flow_px``: mean length of each flow, in pixels of the output: that of the coarse map and,
      for GD-FAM, that of the fine map;
    * ``gradient``: norm of the gradient of the weights that predict each flow, as it comes out of
      the backward pass (times the loss scale of float16);
    * ``gate`` and ``gate_spread``: mean and standard deviation of the coarse map's share over
      pixels; None without a gate.

    Args:
        times: Number of iterations, from the first to the last, at which the hook measures.
    """

    priority = 'VERY_LOW'

    def __init__(self, times: int = 5) -> None:
        self.times = times
        self.recorder: AlignmentRecorder | None = None
        self.gradients: dict[str, list[float]] = {}
        self._handles: list = []

    def before_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Start the recorder if this iteration is measured."""
        last = runner.max_iters - 1
        steps = max(self.times - 1, 1)
        if runner.iter not in {round(last * i / steps) for i in range(self.times)}:
            return
        self.recorder = AlignmentRecorder(runner.model)
        self.recorder.start()
        for name, module in self.recorder.modules.items():
            weight = module.flow_make.weight
            self._handles.append(weight.register_hook(self._keep_gradient(name)))

    def _keep_gradient(self, name: str):
        def hook(gradient: Tensor) -> None:
            flows = gradient.unflatten(0, (-1, 2))
            self.gradients[name] = [float(flow.norm()) for flow in flows]

        return hook

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Store the measurements of this iteration."""
        if self.recorder is None:
            return
        self.recorder.stop()
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        found = [
            dict(
                iteration=runner.iter + 1,
                module=record.name,
                flow_px=flow_lengths(record.flow),
                gradient=self.gradients.get(record.name, []),
                gate=None if record.gate is None else float(record.gate.mean()),
                gate_spread=None if record.gate is None else float(record.gate.std()),
            )
            for record in self.recorder.first_pass()
        ]
        self.recorder = None
        runner.message_hub.update_info(HISTORY, history_of(runner) + found)


def history_of(runner: Runner) -> list[dict[str, Any]]:
    """Return all measurements of :class:`AlignmentMonitorHook` in a training until now."""
    return runner.message_hub.get_info(HISTORY, [])


def flow_lengths(flow: Tensor) -> list[float]:
    """Compute the mean length of each flow in (N, 2k, H, W), in pixels."""
    lengths = []
    for one in flow.unflatten(1, (-1, 2)).unbind(1):
        pixels = [torch.from_numpy(flow_to_pixels(image)) for image in one.numpy()]
        lengths.append(float(torch.stack(pixels).norm(dim=-1).mean()))
    return lengths


def alignment_history(rows: dict[str, list[dict[str, Any]]]) -> str:
    """Write a Markdown table of the measurements of :class:`AlignmentMonitorHook`.

    Args:
        rows: Results of each config by its name. Seeds are averaged; results without measurements,
            of models without alignment, are left out.
    """
    table = []
    for name, results in rows.items():
        found: dict[tuple[str, int], list[dict[str, Any]]] = {}
        for entry in (e for result in results for e in result.get('alignment_history', ())):
            found.setdefault((entry['module'], entry['iteration']), []).append(entry)
        for (module, iteration), entries in found.items():
            cells = [name, module, str(iteration)]
            cells += [_means(entries, 'flow_px', '.2f'), _means(entries, 'gradient', '.1e')]
            gates = [e for e in entries if e['gate'] is not None]
            gate = ''
            if gates:
                mean, spread = (
                    statistics.mean(e[k] for e in gates) for k in ('gate', 'gate_spread')
                )
                gate = f'{mean:.3f} ± {spread:.3f}'
            table.append([*cells, gate])
    header = ['model', 'module', 'iteration', 'flow (px)', 'gradient', 'gate (share of coarse)']
    return '\n'.join(markdown_table(header, table)) if table else ''


def _means(entries: Sequence[dict[str, Any]], key: str, form: str) -> str:
    """Format the means of the elements of lists, separated by commas."""
    return ', '.join(format(statistics.mean(v), form) for v in zip(*(e[key] for e in entries)))
