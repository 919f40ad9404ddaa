"""Reads the models of this package from the metafiles of ``configs``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

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


def read_models(root: Path) -> dict[str, dict[str, Any]]:
    """Read the entries by base name of the config, those of the main metafile first.

    Args:
        root: Root folder of the repository.

    Raises:
        SystemExit: An entry names a config that does not exist.
    """
    paths = sorted((root / 'configs').rglob('metafile*.yml'))
    main = root / 'configs' / 'metafile.yml'
    models = []
    for path in [main, *(p for p in paths if p != main)]:
        models += yaml.safe_load(path.read_text(encoding='utf-8'))['Models']
    for model in models:
        if not (root / model['Config']).is_file():
            raise SystemExit(f'error: metafiles name {model["Config"]}, which does not exist')
    return {Path(m['Config']).stem: m for m in models}


def config_files(root: Path) -> dict[str, str]:
    """Map the base name of every config outside of ``_base_`` to its path in the repository."""
    paths = sorted((root / 'configs').rglob('*.py'))
    return {p.stem: p.relative_to(root).as_posix() for p in paths if '_base_' not in p.parts}


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
