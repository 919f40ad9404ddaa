"""Reads a config whatever its shape: parts in lists and wrappers, types as strings or classes.

mmengine takes ``type='mmseg.IoUMetric'`` and, in its pure-Python configs, ``type=IoUMetric``; one
evaluator or a list of them; a data set or wrappers around some.
"""

import logging
from typing import Any, Dict, Iterator, List

from mmengine.logging import print_log


def type_name(node: Any) -> str:
    """Name of the class of a part, without its scope; empty for what has no type."""
    kind = node.get('type') if isinstance(node, dict) else node
    if kind is None:
        return ''
    if not isinstance(kind, str):
        return getattr(kind, '__name__', type(kind).__name__)
    return kind.rsplit('.', 1)[-1]


def parts(node: Any) -> List[Dict]:
    """One part, a list of some or None, as a list."""
    if node is None:
        return []
    return [node] if isinstance(node, dict) else list(node)


def walk(node: Any) -> Iterator[Dict]:
    """A config and all dicts in it."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for value in node:
            yield from walk(value)


def metrics(evaluator: Any) -> List[Dict]:
    """The metrics of an evaluator, which is one, a list of some, or an ``Evaluator`` of some."""
    found = []
    for part in parts(evaluator):
        found += metrics(part['metrics']) if 'metrics' in part else [part]
    return found


def data_wrappers(loader: Any) -> List[Dict]:
    """The data set of a data loader and those that it wraps, from the outside to the inside."""
    found: List[Dict] = []
    waiting = parts((loader or {}).get('dataset'))
    while waiting:
        dataset = waiting.pop(0)
        found.append(dataset)
        waiting += parts(dataset.get('dataset')) + parts(dataset.get('datasets'))
    return found


def data_sets(loader: Any) -> List[Dict]:
    """The innermost data sets of a data loader, which read files."""
    return [d for d in data_wrappers(loader) if 'dataset' not in d and 'datasets' not in d]


def registered(registry: Any, node: Any) -> Any:
    """The class of a part in the default scope; None where it has no type or an unknown one."""
    kind = node.get('type')
    if not isinstance(kind, str):
        return kind
    try:
        with registry.switch_scope_and_registry(None) as scoped:
            return scoped.get(kind)
    except (ImportError, KeyError) as e:
        print_log(f'{kind}: {e}', logger='current', level=logging.WARNING)
        return None
