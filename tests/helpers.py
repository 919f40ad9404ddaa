"""What several tests share."""

import copy
import functools
import glob
import importlib.util
import os.path as osp
from types import ModuleType
from typing import Any

import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from sfnet_mm.utils.config import fit_to_cpu

ROOT = osp.dirname(osp.dirname(osp.abspath(__file__)))
ODD_CHANNELS, ODD_SIZES = [4, 6, 8, 10], [(17, 25), (9, 13), (5, 7), (3, 4)]


def config_paths(*folders: str) -> list[str]:
    """Paths, relative to the repository, of all final configs or of those in some folders."""
    found = glob.glob(osp.join(ROOT, 'configs', '**', '*.py'), recursive=True)
    paths = [osp.relpath(p, ROOT) for p in found if f'{osp.sep}_base_{osp.sep}' not in p]
    return sorted(p for p in paths if not folders or p.split(osp.sep)[1] in folders)


def read_text(path: str) -> str:
    """The text of a file of the repository."""
    with open(osp.join(ROOT, path), encoding='utf-8') as file:
        return file.read()


def load_config(path: str) -> Config:
    """A config of the repository, fit to the CPU and without weights to be fetched."""
    return copy.deepcopy(read_config(path))


@functools.cache
def read_config(path: str) -> Config:
    cfg = Config.fromfile(osp.join(ROOT, path))
    fit_to_cpu(cfg)
    return cfg


@functools.cache
def load_tool(name: str) -> ModuleType:
    """The module of ``tools/{name}.py``, such as ``'analysis_tools/compare'``; loaded once."""
    path = osp.join(ROOT, 'tools', f'{name}.py')
    spec = importlib.util.spec_from_file_location(f'tools.{name.replace("/", ".")}', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_tool(name: str, *arguments: Any) -> Any:
    """What ``main`` of ``tools/{name}.py`` returns for these arguments, in this process."""
    return load_tool(name).main([str(argument) for argument in arguments])


def randomize_norms(module: torch.nn.Module) -> torch.nn.Module:
    """The module with statistics and weights of normalization that no initialization gives."""
    for layer in module.modules():
        if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
            torch.nn.init.normal_(layer.bias, 0, 0.2)
            torch.nn.init.normal_(layer.running_mean, 0, 0.2)
            torch.nn.init.uniform_(layer.running_var, 0.5, 1.5)
    return module


def odd_maps(n: int = 1) -> list[torch.Tensor]:
    """Maps of four stages of an image of 65x97: no map is half of another."""
    return [torch.randn(n, c, *size) for c, size in zip(ODD_CHANNELS, ODD_SIZES)]


def flow_parameters(module: torch.nn.Module) -> list[str]:
    """Names of the parameters that predict flow."""
    return [n for n, _ in module.named_parameters() if 'flow' in n or 'down_' in n]


def png_dataset(root: Any, **options: Any) -> dict[str, Any]:
    """The config of a data set of PNG files in ``img`` and ``ann``."""
    steps = ('LoadImageFromFile', 'LoadAnnotations', 'PackSegInputs')
    dataset = dict(
        type='BaseSegDataset',
        data_root=str(root),
        data_prefix=dict(img_path='img', seg_map_path='ann'),
        img_suffix='.png',
        metainfo=dict(classes=('road', 'car'), palette=[(128, 64, 128), (0, 0, 142)]),
        pipeline=[dict(type=step) for step in steps],
    )
    return {**dataset, **options}


def config_to_test(root: Any, batch_size: int = 2, data: dict | None = None, **cfg: Any) -> Config:
    """The config of a test on :func:`png_dataset`, whose options are ``data``."""
    common = dict(
        default_scope='mmseg',
        work_dir=f'{root}/work',
        experiment_name=str(root),
        visualizer=dict(type='SegLocalVisualizer', name=f'visualizer of {root}'),
        test_dataloader=dict(
            batch_size=batch_size,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=png_dataset(root, **(data or {})),
        ),
        test_cfg=dict(type='TestLoop'),
        log_level='WARNING',
    )
    return Config({**common, **cfg})


def has_hooks(module: torch.nn.Module) -> bool:
    """Whether something is called after the module's forward pass."""
    return bool(vars(module)['_forward_hooks'])


def build_segmentor(cfg: Config) -> torch.nn.Module:
    """The segmentor of a config with random weights."""
    return MODELS.build(cfg.model)


def segmentation_samples(num: int, height: int, width: int, num_classes: int = 19) -> list:
    """Data samples with random labels (height, width), a tenth of them ignored."""
    samples = []
    for _ in range(num):
        label = torch.randint(num_classes, (1, height, width))
        label[torch.rand(1, height, width) < 0.1] = 255
        sample = SegDataSample(gt_sem_seg=PixelData(data=label))
        # PIDNet learns from edges.
        sample.gt_edge_map = PixelData(data=(torch.rand(1, height, width) < 0.1).long())
        sample.set_metainfo(
            dict(img_shape=(height, width), ori_shape=(height, width), pad_shape=(height, width))
        )
        samples.append(sample)
    return samples
