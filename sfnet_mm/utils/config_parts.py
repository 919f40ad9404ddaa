"""Reads a config and finds its parts in lists and wrappers, with types as strings or as classes.

mmengine takes ``type='mmseg.IoUMetric'`` and, in its pure-Python configs, ``type=IoUMetric``. It
also takes one evaluator or a list of them, and a data set or wrappers around some.
"""

import argparse
import logging
import os.path as osp
import traceback
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.logging import print_log

from .tooling import first_line


def type_name(node: Any) -> str:
    """Return the class name of a part without its scope, or an empty text without a type."""
    kind = node.get('type') if isinstance(node, dict) else node
    if kind is None:
        return ''
    if not isinstance(kind, str):
        return getattr(kind, '__name__', type(kind).__name__)
    return kind.rsplit('.', 1)[-1]


def parts(node: Any) -> list[dict]:
    """Return one part, a list of parts or None as a list."""
    if node is None:
        return []
    return [node] if isinstance(node, dict) else list(node)


def walk(node: Any) -> Iterator[dict]:
    """Yield a config and all dicts inside it."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for value in node:
            yield from walk(value)


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Give a tool ``--cfg-options``, the strings that :func:`parse_options` takes."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action='extend',
        default=[],
        metavar='KEY=VALUE',
        help='override settings: key=value ...',
    )


def parse_options(pairs: Sequence[str]) -> dict[str, Any]:
    """Parse strings ``key=value``, in which mmengine reads numbers, lists and tuples.

    Raises:
        ValueError: A string has no ``=``.
    """
    for pair in pairs:
        if '=' not in pair:
            raise ValueError(f'--cfg-options takes key=value, not {pair!r}')
    parser = argparse.ArgumentParser()
    parser.add_argument('--options', nargs='*', action=DictAction)
    return parser.parse_args(['--options', *pairs]).options


def merge_options(cfg: Config, options: dict | Sequence[str] | None) -> None:
    """Apply ``--cfg-options``, a dict or strings ``key=value``, and find paths below home.

    Neither mmengine nor a shell replaces the ``~/`` at the start of a value.

    Raises:
        ValueError: See :func:`parse_options`.
    """
    cfg.merge_from_dict(options if isinstance(options, dict) else parse_options(options or ()))
    for node in (cfg, *walk(list(cfg.values()))):
        for key, value in node.items():
            if isinstance(value, str) and value.startswith('~/'):
                node[key] = osp.expanduser(value)


def metrics(evaluator: Any) -> list[dict]:
    """List the metrics of an evaluator, which is a metric, a list of them or an ``Evaluator``."""
    found = []
    for part in parts(evaluator):
        found += metrics(part['metrics']) if 'metrics' in part else [part]
    return found


def data_wrappers(loader: Any) -> list[dict]:
    """List the data set of a data loader and those that it wraps, from the outside inward."""
    found: list[dict] = []
    waiting = parts((loader or {}).get('dataset'))
    while waiting:
        dataset = waiting.pop(0)
        found.append(dataset)
        waiting += parts(dataset.get('dataset')) + parts(dataset.get('datasets'))
    return found


def data_sets(loader: Any) -> list[dict]:
    """List the innermost data sets of a data loader, which read files."""
    return [d for d in data_wrappers(loader) if 'dataset' not in d and 'datasets' not in d]


def registered(registry: Any, node: Any) -> Any:
    """Find the class of a part in the default scope, or None if its type is missing or unknown."""
    kind = node.get('type')
    if not isinstance(kind, str):
        return kind
    try:
        with registry.switch_scope_and_registry(None) as scoped:
            return scoped.get(kind)
    except (ImportError, KeyError) as e:
        print_log(f'{kind}: {e}', logger='current', level=logging.WARNING)
        return None


def run_config(path: str) -> Config:
    """Run a config, which may raise anything, since it is Python.

    Raises:
        ImportError: One line with the file and why something cannot be imported.
        ValueError: One line with the file, the line and the error; other errors are the host's.
    """
    try:
        return Config.fromfile(path)
    except ImportError as e:
        # mmengine raises two errors of its own over that of a custom import.
        reason = getattr(e.__cause__, '__context__', None) or e
        missing = isinstance(reason, ModuleNotFoundError)
        remedy = ': install it, or put its folder into PYTHONPATH' if missing else ''
        raise ImportError(f'config {path}: {first_line(reason)}{remedy}') from e
    except (OSError, ValueError):
        raise
    except Exception as e:
        # The config, or one of its bases, is the innermost file that runs as a module.
        frames = [f for f in traceback.extract_tb(e.__traceback__) if f.name == '<module>']
        where = f' ({frames[-1].filename}, line {frames[-1].lineno})' if frames else ''
        reason = f'{type(e).__name__}: {first_line(e)}'.rstrip(': ')
        raise ValueError(f'config {path} cannot be read: {reason}{where}') from e
