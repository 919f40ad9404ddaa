"""Reads the models of this package from the metafiles of ``configs``."""

from __future__ import annotations

import os
import os.path as osp
from glob import glob
from typing import Any

import yaml
from mmengine.fileio import get_text
from mmengine.utils import scandir

from sfnet_mm.utils.tooling import file_stem, mean_and_spread, read_json

# Multiply-adds are counted at this height x width by default.
SIZES = {
    'ADE20K': '512x512',
    'CamVid': '720x960',
    'CamVid (360x480)': '360x480',
    'BDD100K': '720x1280',
    'IDD': '1080x1920',
    'Mapillary Vistas': '1536x1536',
    'COCO panoptic': '800x1333',
    'mini-UDS': '128x256',
    'mini-UDS (Cityscapes)': '128x256',
    'mini-UDS panoptic': '192x384',
}


def read_models(root: str) -> dict[str, dict[str, Any]]:
    """Read the entries by base name of the config, those of the main metafile first.

    Args:
        root: Root folder of the repository.

    Raises:
        SystemExit: An entry names a config that does not exist.
    """
    folder, main = osp.join(root, 'configs'), 'metafile.yml'
    names = glob('**/metafile*.yml', root_dir=folder, recursive=True)
    models = []
    for name in sorted(names, key=lambda name: (name != main, name)):
        models += yaml.safe_load(get_text(osp.join(folder, name)))['Models']
    for model in models:
        if not osp.isfile(osp.join(root, model['Config'])):
            raise SystemExit(f'error: metafiles name {model["Config"]}, which does not exist')
    return {file_stem(m['Config']): m for m in models}


def config_files(root: str) -> dict[str, str]:
    """Map the base name of every config outside of ``_base_`` to its path in the repository."""
    names = sorted(scandir(osp.join(root, 'configs'), '.py', recursive=True))
    paths = ('/'.join(['configs', *name.split(os.sep)]) for name in names)
    return {file_stem(path): path for path in paths if '_base_' not in path.split('/')}


def read_comparisons(root: str) -> dict[str, str]:
    """Read the mIoU of the configs that were compared on CamVid, as text by base name."""
    texts = {}
    folder = osp.join(root, 'docs', 'benchmarks')
    for file in sorted(glob('camvid_*.json', root_dir=folder)):
        for name, runs in read_json(osp.join(folder, file)).items():
            seeds = 'seed' if len(runs) == 1 else 'seeds'
            scores = mean_and_spread([run['mIoU'] for run in runs])
            texts[name] = f'{scores} (compared, val, {len(runs)} {seeds})'
    return texts


def own_size(model: dict[str, Any]) -> str:
    """Return the height x width of the data of a model."""
    return SIZES.get(model['Metadata']['Training Data'], '1024x2048')


def results_text(model: dict[str, Any] | None) -> str:
    """Format the results of runs of this package; the text is empty if there are none."""
    texts = []
    for result in (model or {}).get('Results', []):
        metrics = dict(result['Metrics'])
        others = ''.join(f'{k} {v}, ' for k, v in metrics.items() if k != 'mIoU')
        texts.append(f'{metrics["mIoU"]} ({others}{result.get("Note", result["Dataset"])})')
    return ', '.join(texts)
