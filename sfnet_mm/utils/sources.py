"""One switch for the sources of UDS in all loaders of a config."""

from mmengine.config import Config

from .config_parts import walk

# What `sources` of configs/_base_/datasets/driving.py says; another value is somebody's choice.
USUAL_FOLDERS = dict(cityscapes='cityscapes', idd='idd', mapillary='mapillary', bdd='bdd100k')


def choose_sources(cfg: Config) -> None:
    """Carry what the variable ``sources`` of a config says into every data set with sources.

    So ``--cfg-options sources.mapillary=None``, or ``sources = dict(mapillary=None)`` in a config
    of one's own, leaves Mapillary Vistas out of training, validation and test, and another folder
    is read by all. No data set gets a source that it does not have.

    Raises:
        ValueError: A source that UDS does not have.
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
