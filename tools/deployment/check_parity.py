"""Compare ONNX Runtime and OpenVINO with torch, model by model and size by size.

    python tools/deployment/check_parity.py CONFIG... --sizes 1024x2048 713x1001 --out parity.json

For a panoptic model, the result has the mean differences of scores and mask probabilities. The
class of a pixel is the kernel with the highest product of score and probability. The network
thresholds masks at one half, so that rounding moves single pixels over the threshold.

Weights and images are random, with features and flows as large as after training. With --checkpoint
and --image, trained weights and a picture are used. Results that the JSON file has are not computed
again. A comparison that fails does not end the others.

With --warp gather, the file without GridSample is compared with the file with GridSample in ONNX
Runtime. Models without flow have nothing to compare. --distinct leaves out a config if an earlier
one has the same network, whatever its classes and its training are.
"""

import argparse
import itertools
import json
import os.path as osp
import tempfile
from collections.abc import Sequence

import cv2
import numpy as np
import torch

import sfnet_mm  # noqa: F401  # isort: skip  mends the hosts before mmseg is imported
from mmengine.utils import track_iter_progress

from sfnet_mm.deploy.export import export_onnx, make_reference
from sfnet_mm.deploy.export.onnx_graph import OPSET, count_nodes
from sfnet_mm.deploy.export.parity import float64_output, parity
from sfnet_mm.deploy.export.portable_warp import WARPS
from sfnet_mm.deploy.export.random_networks import (
    distinct_networks,
    random_images,
    set_realistic_statistics,
)
from sfnet_mm.deploy.export.warp_forms import compare_forms
from sfnet_mm.deploy.model import input_channels, load_model
from sfnet_mm.deploy.runtimes import OnnxRuntime, OpenVINORuntime
from sfnet_mm.deploy.runtimes.base import Runtime
from sfnet_mm.utils.config import is_panoptic
from sfnet_mm.utils.media import read_image
from sfnet_mm.utils.tooling import file_stem, image_size, one_error_line, write_text

# Weights are drawn up to so many times for a network whose warps are compared.
MOST_DRAWS = 3


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Compare runtimes with torch')
    parser.add_argument('configs', nargs='+', metavar='CONFIG')
    parser.add_argument(
        '--sizes', nargs='+', type=image_size, default=[(1024, 2048), (713, 1001)], metavar='HxW'
    )
    parser.add_argument('--checkpoint', help='checkpoint of the only config; needs --image')
    parser.add_argument('--image', help='picture, which is resized to each size')
    parser.add_argument('--warp', choices=WARPS, default=WARPS[0], help='operator of the warp')
    parser.add_argument(
        '--opset', type=int, default=OPSET, help='opset of the file without GridSample'
    )
    parser.add_argument(
        '--distinct', action='store_true', help='compare one config for each network'
    )
    parser.add_argument('--out', default='parity.json', help='JSON file')
    args = parser.parse_args(argv)
    if (args.checkpoint is None) != (args.image is None):
        parser.error('--checkpoint and --image belong together')
    if args.checkpoint and len(args.configs) > 1:
        parser.error('--checkpoint belongs to one config')
    if args.image and not osp.isfile(args.image):
        raise FileNotFoundError(f'image {args.image} does not exist')
    if args.checkpoint and args.warp == 'gather':
        parser.error('--warp gather is compared with random weights, without --checkpoint')
    return args


def make_sample(runtime: Runtime, size: tuple, image: str | None) -> torch.Tensor:
    if image is None:
        return random_images(1, size, 2, runtime.channels)
    return torch.from_numpy(runtime.prepare(cv2.resize(read_image(image), size[::-1])))


def load(config: str, size: tuple, checkpoint: str | None = None) -> torch.nn.Module:
    """Load a model. Without a checkpoint, it gets weights like those after training."""
    if is_panoptic(config):
        from sfnet_mm.panoptic.export import load_panoptic

        model = load_panoptic(config, checkpoint)
    else:
        model = load_model(config, checkpoint)
        model.test_cfg = dict(mode='whole')  # Sliding windows are not compared.
    return model if checkpoint else set_realistic_statistics(model, size)


def export(model: torch.nn.Module, path: str, size: tuple, runtime: str = 'onnxruntime') -> None:
    if hasattr(model, 'panoptic_head'):
        from sfnet_mm.panoptic.export import export_panoptic_onnx

        export_panoptic_onnx(model, path, size, runtime)
    else:
        export_onnx(model, path, size, 'logits', runtime=runtime)


def compare(config: str, size: tuple, checkpoint: str | None, image: str | None) -> dict:
    torch.manual_seed(0)
    model = load(config, size, checkpoint)
    with tempfile.TemporaryDirectory() as folder:
        runtimes = []
        for kind in (OnnxRuntime, OpenVINORuntime):
            path = osp.join(folder, f'{kind.name}.onnx')
            export(model, path, size, kind.name)
            runtimes.append(kind(path))
        sample = make_sample(runtimes[0], size, image)
        outputs = {runtime.name: runtime.infer_all(sample.numpy()) for runtime in runtimes}
        comparison = compare_panoptic if is_panoptic(config) else compare_logits
        return {'samplers': count_nodes(path), **comparison(model, sample, outputs)}


def compare_panoptic(model: torch.nn.Module, sample: torch.Tensor, outputs: dict) -> dict:
    from sfnet_mm.panoptic.export import PanopticGraph, mean_difference

    with torch.no_grad():
        expected = [x.numpy() for x in PanopticGraph(model)(sample)]
    return {
        name: {
            'difference': mean_difference(got, expected),
            'agreement': float((best_kernel(*got) == best_kernel(*expected)).mean()),
        }
        for name, got in outputs.items()
    }


def best_kernel(scores: np.ndarray, masks: np.ndarray) -> np.ndarray:
    return (scores.max(axis=2)[..., None, None] * masks).argmax(axis=1)


def compare_logits(model: torch.nn.Module, sample: torch.Tensor, outputs: dict) -> dict:
    wrapped = make_reference(model, 'logits')
    with torch.no_grad():
        expected = wrapped(sample).numpy()
    float64 = float64_output(wrapped, sample)
    found = {
        'largest_logit': float(np.abs(expected).max()),
        'torch_to_float64': float(np.abs(expected - float64).max()),
    }
    for name, (logits,) in outputs.items():
        p = parity(expected, logits, sample.shape[2:], wrapped.form.threshold)
        found[name] = {
            'difference': p.difference,
            'to_float64': float(np.abs(logits - float64).max()),
            'agreement': p.agreement,
        }
    return found


def export_random_weights(config: str, path: str, size: tuple) -> torch.nn.Module:
    """Export the network of a config, and return it."""
    for seed in range(MOST_DRAWS):
        torch.manual_seed(seed)
        try:
            model = load(config, size)
            export(model, path, size)
            break
        except RuntimeError:
            # Some random weights magnify rounding until the export refuses the file.
            if seed == MOST_DRAWS - 1:
                raise
    return model


def compare_warps(config: str, size: tuple, opset: int) -> dict:
    """Compare both forms of the warp in a network with random weights."""
    with tempfile.TemporaryDirectory() as folder:
        path = osp.join(folder, 'model.onnx')
        model = export_random_weights(config, path, size)
        sample = random_images(1, size, 2, input_channels(model)).numpy()
        return compare_forms(path, sample, opset, ['onnxruntime'])


@one_error_line()
def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    results = {}
    if osp.isfile(args.out):
        try:
            with open(args.out, encoding='utf-8') as f:
                results = json.load(f)
        except ValueError:
            raise ValueError(f'{args.out} is no JSON: remove it or choose another') from None
    configs = distinct_networks(args.configs) if args.distinct else args.configs
    weights = f' ({osp.basename(args.checkpoint)})' if args.checkpoint else ''
    pairs = list(itertools.product(configs, args.sizes))
    failures = []
    for config, size in track_iter_progress(pairs):
        key = f'{file_stem(config)}{weights} {size[0]}x{size[1]}'
        if key in results:
            continue
        try:
            if args.warp == 'gather':
                results[key] = compare_warps(config, size, args.opset)
            else:
                results[key] = compare(config, size, args.checkpoint, args.image)
            write_text(args.out, json.dumps(results, indent=1))
        except (OSError, ValueError, RuntimeError) as e:
            failures.append(f'{key}: {e}')
            print(f'\nfailed: {failures[-1]}')
    for key, found in results.items():
        cells = [
            f'{name}: {found[name]["difference"]:.1e}, {found[name]["agreement"]:.4%}'
            for name in ('onnxruntime', 'openvino')
            if name in found
        ]
        if 'torch_to_float64' in found:
            cells.append(f'torch to float64: {found["torch_to_float64"]:.1e}')
        print(f'{key}: {found["samplers"]} GridSample; ' + '; '.join(cells))
    if failures:
        raise ValueError(
            f'{len(failures)} of {len(pairs)} comparisons failed, the first: {failures[0]}'
        )


if __name__ == '__main__':
    main()
