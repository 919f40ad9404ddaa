"""Builds the alignment module that a decoder was configured with."""

from typing import Any, Dict, List, Optional

import torch.nn as nn
from mmseg.registry import MODELS


def alignment_modules() -> List[str]:
    """Names of the registered alignment modules; each says whether it ``fuses``."""
    return sorted(name for name, kind in MODELS.module_dict.items() if hasattr(kind, 'fuses'))


def build_alignment(owner: str, align: Dict[str, Any], channels: int) -> nn.Module:
    """Build an alignment module, called as ``align(fine, coarse)``.

    Args:
        owner: Name of the decoder, for the message of an error.
        align: ``dict(type=..., ...)``; the type is the name of a registered module or a class.
        channels: Channels of both maps.

    Raises:
        ValueError: ``align`` is no such dict, or its type is not an alignment module; the message
            names the choices.
    """
    kind = align.get('type') if isinstance(align, dict) else align
    found = _find(kind) if isinstance(align, dict) else None
    if not hasattr(found, 'fuses'):
        raise ValueError(
            f'{owner}: align={kind!r} is not an alignment module: set align=None or '
            f'align=dict(type=...) with one of {", ".join(alignment_modules())}'
        )
    return MODELS.build(dict(channels=channels, **{**align, 'type': found}))


def _find(kind: Any) -> Optional[type]:
    """The class of a name, in the default scope or in that of mmseg."""
    if not isinstance(kind, str):
        return kind
    with MODELS.switch_scope_and_registry(None) as registry:
        return registry.get(kind) or MODELS.get(kind)
