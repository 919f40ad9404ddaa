"""Compare ONNX Runtime and OpenVINO with torch, model by model and size by size.

    python tools/deployment/check_parity.py CONFIG... --sizes 1024x2048 713x1001 --out parity.json

Of a panoptic model, scores and masks (probabilities) are compared in the mean, and a pixel's class
is the kernel with the highest score times probability: masks are cut at one half within the
network, so that rounding carries single pixels over it.

Weights are random, with features and flows of the size that training gives, and so are images.
With --checkpoint and --image, trained weights see a picture, as in use. What the JSON file has
already is not computed again.
"""

import argparse
import json
import os.path as osp
import tempfile
from typing import Optional, Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import sfnet_mm  # noqa: F401  # isort: skip  mends the hosts before mmseg is imported
from mmengine.utils import ProgressBar

from sfnet_mm.deploy.export import export_onnx, reference
from sfnet_mm.deploy.export.onnx_graph import count_nodes
from sfnet_mm.deploy.export.parity import exact, parity
from sfnet_mm.deploy.model import input_channels, load_model
from sfnet_mm.deploy.runtimes import OnnxRuntime, OpenVINORuntime
from sfnet_mm.deploy.runtimes.base import Runtime
from sfnet_mm.utils.config import is_panoptic
from sfnet_mm.utils.media import read_image
from sfnet_mm.utils.tooling import image_size, one_error_line, write_text


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Compare runtimes with torch')
    parser.add_argument('configs', nargs='+', metavar='CONFIG')
    parser.add_argument(
        '--sizes', nargs='+', type=image_size, default=[(1024, 2048), (713, 1001)], metavar='HxW'
    )
    parser.add_argument('--checkpoint', help='of the one config; needs --image')
    parser.add_argument('--image', help='is resized to each size')
    parser.add_argument('--out', default='parity.json', help='JSON file')
    args = parser.parse_args(argv)
    if (args.checkpoint is None) != (args.image is None):
        parser.error('--checkpoint and --image belong together')
    if args.checkpoint and len(args.configs) > 1:
        parser.error('--checkpoint belongs to one config')
    return args


def scenery(count: int, size: tuple, seed: int, channels: int) -> torch.Tensor:
    """Random images (N, channels, H, W) with structure of all scales, mean 0 and variance about 1.

    In white noise every average is the same, so that layers which average divide by nearly nothing.
    """
    generator = torch.Generator().manual_seed(seed)
    image = torch.zeros(count, channels, *size)
    scale = 1
    while scale < max(size):
        cells = [max(1, side // scale) for side in size]
        octave = torch.randn(count, channels, *cells, generator=generator)
        image += F.interpolate(octave, size=size, mode='bilinear', align_corners=True)
        scale *= 4
    return image / image.std()


def fill(model: nn.Module, size: tuple) -> nn.Module:
    """Give a model with random weights features and flows of the size that training gives.

    Batch normalization gets weights that vary, and the statistics of random images; without them,
    features grow from layer to layer.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for m in norms:
        nn.init.uniform_(m.weight, 0.8, 1.2)
        nn.init.normal_(m.bias, 0, 0.1)
        m.train()
        m.momentum = 1.0
    for m in model.modules():
        if hasattr(m, 'flow_make'):
            m.flow_make.weight.data *= 2  # one to two pixels
    with torch.no_grad():
        from sfnet_mm.panoptic.export import pad_to_stride

        image = pad_to_stride(
            scenery(8, tuple(side // 4 for side in size), 1, input_channels(model))
        )
        features = model.extract_feat(image)
        if hasattr(model, 'panoptic_head'):
            model.panoptic_head.predict(features, [])
        else:
            model.decode_head(features)
    return model.eval()


def make_sample(runtime: Runtime, size: tuple, image: Optional[str]) -> torch.Tensor:
    if image is None:
        return scenery(1, size, 2, runtime.channels)
    return torch.from_numpy(runtime.prepare(cv2.resize(read_image(image), size[::-1])))


def compare_panoptic(
    config: str, size: tuple, checkpoint: Optional[str], image: Optional[str]
) -> dict:
    from sfnet_mm.panoptic.export import (
        PanopticGraph,
        export_panoptic_onnx,
        load_panoptic,
        mean_difference,
    )

    model = load_panoptic(config, checkpoint)
    if checkpoint is None:
        fill(model, size)
    with tempfile.TemporaryDirectory() as folder:
        runtimes = []
        for kind in (OnnxRuntime, OpenVINORuntime):
            path = osp.join(folder, f'{kind.name}.onnx')
            export_panoptic_onnx(model, path, size, kind.name)
            runtimes.append(kind(path))
        sample = make_sample(runtimes[0], size, image)
        with torch.no_grad():
            expected = [x.numpy() for x in PanopticGraph(model)(sample)]
        found = {'samplers': count_nodes(path)}
        for runtime in runtimes:
            got = runtime.infer_all(sample.numpy())
            found[runtime.name] = {
                'difference': mean_difference(got, expected),
                'agreement': float((best_kernel(*got) == best_kernel(*expected)).mean()),
            }
    return found


def best_kernel(scores: np.ndarray, masks: np.ndarray) -> np.ndarray:
    return (scores.max(axis=2)[..., None, None] * masks).argmax(axis=1)


def compare(config: str, size: tuple, checkpoint: Optional[str], image: Optional[str]) -> dict:
    torch.manual_seed(0)
    if is_panoptic(config):
        return compare_panoptic(config, size, checkpoint, image)
    model = load_model(config, checkpoint)
    if checkpoint is None:
        fill(model, size)
    model.test_cfg = dict(mode='whole')  # of the network itself, windows are not compared
    wrapped = reference(model, 'logits')
    with tempfile.TemporaryDirectory() as folder:
        runtimes = []
        for kind in (OnnxRuntime, OpenVINORuntime):
            path = osp.join(folder, f'{kind.name}.onnx')
            export_onnx(model, path, size, 'logits', runtime=kind.name)
            runtimes.append(kind(path))
        sample = make_sample(runtimes[0], size, image)
        with torch.no_grad():
            expected = wrapped(sample).numpy()
        float64 = exact(wrapped, sample)
        found = {
            'samplers': count_nodes(path),
            'largest_logit': float(np.abs(expected).max()),
            'torch_to_float64': float(np.abs(expected - float64).max()),
        }
        for runtime in runtimes:
            logits = np.asarray(runtime.infer(sample.numpy()))
            p = parity(expected, logits, size, wrapped.form.threshold)
            found[runtime.name] = {
                'difference': p.difference,
                'to_float64': float(np.abs(logits - float64).max()),
                'agreement': p.agreement,
            }
    return found


@one_error_line()
def main(argv: Optional[Sequence[str]] = None) -> None:
    args = parse_args(argv)
    results = {}
    if osp.isfile(args.out):
        try:
            with open(args.out, encoding='utf-8') as f:
                results = json.load(f)
        except ValueError:
            raise ValueError(f'{args.out} is no JSON: remove it or choose another') from None
    progress = ProgressBar(len(args.configs) * len(args.sizes))
    for config in args.configs:
        for size in args.sizes:
            weights = f' ({osp.basename(args.checkpoint)})' if args.checkpoint else ''
            key = f'{osp.splitext(osp.basename(config))[0]}{weights} {size[0]}x{size[1]}'
            if key not in results:
                try:
                    results[key] = compare(config, size, args.checkpoint, args.image)
                except (OSError, ValueError, ImportError, RuntimeError) as e:
                    print()  # ends the line of the progress bar
                    raise ValueError(f'{key}: {e}') from None
                write_text(args.out, json.dumps(results, indent=1))
            progress.update()
    print()
    for key, found in results.items():
        cells = [
            f'{name}: {found[name]["difference"]:.1e}, {found[name]["agreement"]:.4%}'
            for name in ('onnxruntime', 'openvino')
        ]
        if 'torch_to_float64' in found:
            cells.append(f'torch to float64: {found["torch_to_float64"]:.1e}')
        print(f'{key}: {found["samplers"]} GridSample; ' + '; '.join(cells))


if __name__ == '__main__':
    main()
