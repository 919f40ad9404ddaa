"""SFNet and SFNet-Lite for MMSegmentation.

Importing the package (``custom_imports=dict(imports=['sfnet_mm'])``) checks the hosts, fixes the
two host defects that ``compat`` describes and registers every segmentation part in
``mmseg.registry``. Panoptic parts are in ``sfnet_mm.panoptic``, which is imported by name because
it needs mmdet.
"""

from .apis import create_model, predict
from .compat import check_hosts, install
from .config_files import config_path, list_models, weights_path
from .version import __version__

check_hosts()
install()

from . import datasets, engine, evaluation, models, robustnet, visualization  # noqa: E402

__all__ = [
    '__version__',
    'config_path',
    'create_model',
    'datasets',
    'engine',
    'evaluation',
    'list_models',
    'models',
    'predict',
    'robustnet',
    'visualization',
    'weights_path',
]
