"""Chooses the sources of UDS for all loaders of a config."""

from mmengine.config import Config

from .config_parts import walk

# The defaults of `sources` in configs/_base_/datasets/driving.py; a user sets other values.
USUAL_FOLDERS = dict(cityscapes='cityscapes', idd='idd', mapillary='mapillary', bdd='bdd100k')


def choose_sources(cfg: Config) -> None:
    """Apply the variable ``sources`` of a config to every data set that has sources.

    ``--cfg-options sources.mapillary=None``, or ``sources = dict(mapillary=None)`` in a user's
    config, leaves Mapillary Vistas out of training, validation and test. A value that is another
    folder also applies to all of them. No data set gets a source that it does not have.

    Raises:
        ValueError: The variable names a source that UDS does not have.
    """
    chosen = cfg.get('sources')
    if not isinstance(chosen, dict):
        return
    unknown = sorted(set(chosen) - set(USUAL_FOLDERS))
    if unknown:
        raise ValueError(
            f'sources.{unknown[0]} is no source of UDS: choose among {", ".join(USUAL_FOLDERS)}'
        )
    changed = {name: path for name, path in chosen.items() if path != USUAL_FOLDERS[name]}
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        for part in walk(cfg.get(loader)):
            sources = part.get('sources')
            if isinstance(sources, dict):
                sources.update({name: changed[name] for name in set(changed) & set(sources)})
