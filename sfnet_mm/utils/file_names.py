"""Names the results of images by paths below a folder, so that no two have the same name."""

import os
import os.path as osp
from collections import Counter
from collections.abc import Iterable, Sequence

from .dataset_leaves import leaves_of

IMAGE_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.ppm', '.tif', '.tiff', '.webp')


class NameCollision(ValueError):
    """A result would have the name of another result, or of a file that is read."""


def distinct_names(named: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Map the name without suffix of each file to its path.

    Args:
        named: (name with suffix, path) of each file; a file that is listed twice counts once.

    Raises:
        NameCollision: Two files have the same name, such as ``1.jpg`` and ``1.png``.
    """
    found: dict[str, str] = {}
    for name, path in named:
        stem = osp.splitext(osp.normpath(name))[0]
        other = found.setdefault(stem, path)
        if osp.abspath(other) != osp.abspath(path):
            raise NameCollision(
                f'{other} and {path} would both be written as {stem}: give the folder above them, '
                'rename one, or write each to a folder of its own'
            )
    return found


def find_images(inputs: Sequence[str], out_dir: str = '') -> dict[str, str]:
    """Map the name of each result to the image that a user gave for it.

    A folder stands for all images in it and in the folders inside it, sorted by path; their names
    are paths below that folder. With several folders, each name begins with that of its folder.
    Hidden files are left out, and so is ``out_dir``.

    Args:
        inputs: Paths of images and folders.
        out_dir: Folder of the results.

    Raises:
        FileNotFoundError: There is no such file or folder.
        ValueError: A folder has no images, no path is given, or ``out_dir`` is one of the folders.
        NameCollision: See :func:`distinct_names`.
    """
    if not inputs:
        raise ValueError('no image was given')
    folders = {osp.abspath(path) for path in inputs if osp.isdir(path)}
    named: list[tuple[str, str]] = []
    for path in inputs:
        if osp.isdir(path):
            if out_dir and osp.realpath(path) == osp.realpath(out_dir):
                raise ValueError(f'--out-dir {out_dir} is a folder of images: choose another one')
            inside = _images_below(path, osp.realpath(out_dir) if out_dir else '')
            if not inside:
                raise ValueError(f'folder {path} holds no image ({", ".join(IMAGE_SUFFIXES)})')
            front = osp.basename(osp.abspath(path)) if len(folders) > 1 else ''
            named += [(osp.join(front, osp.relpath(p, path)), p) for p in inside]
        elif osp.isfile(path):
            named.append((osp.basename(path), path))
        else:
            raise FileNotFoundError(f'image {path} does not exist')
    return distinct_names(named)


def _images_below(folder: str, without: str) -> list[str]:
    """List the images below a folder. Links are followed, and each folder is read once."""
    paths, seen = [], {without}
    for directory, inner, names in os.walk(folder, followlinks=True):
        seen.add(osp.realpath(directory))
        inner[:] = sorted(
            n
            for n in inner
            if not n.startswith('.') and osp.realpath(osp.join(directory, n)) not in seen
        )
        paths += [
            osp.join(directory, n)
            for n in sorted(names)
            if n.lower().endswith(IMAGE_SUFFIXES) and not n.startswith('.')
        ]
    return paths


def refuse_overwriting(outputs: Iterable[str], inputs: Iterable[str]) -> None:
    """Raise a NameCollision if a file to write is also read, or would be written twice."""
    written = Counter(map(osp.realpath, outputs))
    both = {osp.realpath(p) for p in inputs} & set(written)
    if both:
        raise NameCollision(
            f'{min(both)} is an input and would be replaced: choose another folder for the results'
        )
    for path, times in written.most_common(1):
        if times > 1:
            raise NameCollision(
                f'{path} would be written for {times} inputs: rename one, or write each to a '
                'folder of its own'
            )


def dataset_names(dataset) -> dict[str, str]:
    """Map the path of each image of a data set to its name, the path below the image folder.

    That folder is ``data_prefix['img_path']`` of mmseg's data sets, else ``data_root``. If there
    are several, as in UDS or a ``ConcatDataset``, it is the deepest folder that holds them all.

    Args:
        dataset: A data set of mmengine, mmseg or this package, or a wrapper with ``get_data_info``.

    Raises:
        NameCollision: See :func:`distinct_names`.
    """
    paths = [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]
    folders = [osp.abspath(folder) for folder in _image_folders(dataset)]
    base = osp.commonpath(folders) if folders else ''
    if not base or any(not osp.abspath(p).startswith(osp.join(base, '')) for p in paths):
        base = osp.commonpath([osp.dirname(osp.abspath(p)) for p in paths])
    named = distinct_names((osp.relpath(p, base), p) for p in paths)
    return {path: name for name, path in named.items()}


def _image_folders(dataset) -> list[str]:
    """List the image folders of a data set, also inside wrappers."""
    folders = []
    for leaf, _ in leaves_of(dataset):
        if hasattr(leaf, 'roots'):
            folders += [root for _, root in leaf.roots()]
        else:
            prefix = (getattr(leaf, 'data_prefix', None) or {}).get('img_path')
            folders.append(prefix or getattr(leaf, 'data_root', None))
    return [folder for folder in folders if folder]
