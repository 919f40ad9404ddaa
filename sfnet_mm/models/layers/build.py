"""Builds the alignment and the context module that a decoder was configured with."""

import inspect
from typing import Any, Dict, List, Optional

import torch.nn as nn
from mmseg.registry import MODELS


def alignment_modules() -> List[str]:
    """Names of the registered alignment modules; each says whether it ``fuses``."""
    return sorted(name for name, kind in MODELS.module_dict.items() if hasattr(kind, 'fuses'))


def build_alignment(
    owner: str, align: Dict[str, Any], channels: int, align_corners: bool = True
) -> nn.Module:
    """Build an alignment module, called as ``align(fine, coarse)``.

    Args:
        owner: Name of the decoder, for the message of an error.
        align: ``dict(type=..., ...)``; the type is the name of a registered module or a class.
        channels: Channels of both maps.
        align_corners: ``align_corners`` of the upsampling, for modules that have this argument.

    Raises:
        ValueError: ``align`` is no such dict, or its type is not an alignment module; the message
            names the choices.
    """
    kind = align.get('type') if isinstance(align, dict) else align
    found = _find(kind) if isinstance(align, dict) else None
    if found is None or not hasattr(found, 'fuses'):
        raise ValueError(
            f'{owner}: align={kind!r} is not an alignment module: set align=None or '
            f'align=dict(type=...) with one of {", ".join(alignment_modules())}'
        )
    options = _taken(found, channels=channels, align_corners=align_corners)
    return MODELS.build({**options, **align, 'type': found})


def build_context(context: Dict[str, Any], **options: Any) -> nn.Module:
    """Build a context module.

    Args:
        context: ``dict(type=..., ...)``; what it sets comes before the options.
        **options: ``in_channels``, ``channels``, ``norm_cfg``, ``act_cfg`` and ``align_corners`` of
            the decoder, each for modules that have this argument.
    """
    found = _find(context['type'])
    if found is None:
        return MODELS.build(context)  # raises, naming the type
    return MODELS.build({**_taken(found, **options), **context, 'type': found})


def norm_or_identity(norm_cfg: Optional[Dict[str, Any]]) -> Dict[str, Any]:
    """A ``norm_cfg`` for blocks that cannot be built with None: an identity in its place."""
    return dict(type=nn.Identity) if norm_cfg is None else norm_cfg


def _taken(kind: type, **options: Any) -> Dict[str, Any]:
    """Those of the options that a class has as arguments."""
    arguments = inspect.signature(kind).parameters
    open_ended = any(a.kind is a.VAR_KEYWORD for a in arguments.values())
    return {k: v for k, v in options.items() if open_ended or k in arguments}


def _find(kind: Any) -> Optional[type]:
    """The class of a name, in the default scope or in that of mmseg."""
    if not isinstance(kind, str):
        return kind
    with MODELS.switch_scope_and_registry(None) as registry:
        return registry.get(kind) or MODELS.get(kind)
