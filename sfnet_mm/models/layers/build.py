"""Builds the alignment module and the context module of a decoder from its config."""

import inspect
from typing import Any

import torch.nn as nn
from mmseg.registry import MODELS


def alignment_modules() -> list[str]:
    """Return the names of the registered modules that have the attribute ``fuses``."""
    return sorted(name for name, kind in MODELS.module_dict.items() if hasattr(kind, 'fuses'))


def build_alignment(
    owner: str, align: dict[str, Any], channels: int, align_corners: bool = True
) -> nn.Module:
    """Build an alignment module, called as ``align(fine, coarse)``.

    Args:
        owner: Name of the decoder, for error messages.
        align: ``dict(type=..., ...)``; the type is the name of a registered module or a class.
        channels: Channels of both maps.
        align_corners: ``align_corners`` of the upsampling, for modules that have this argument.

    Raises:
        ValueError: ``align`` is not such a dict, or its type is not an alignment module. The
            message names the choices.
    """
    kind = align.get('type') if isinstance(align, dict) else align
    found = _find_class(kind) if isinstance(align, dict) else None
    if found is None or not hasattr(found, 'fuses'):
        raise ValueError(
            f'{owner}: align={kind!r} is not an alignment module: set align=None or '
            f'align=dict(type=...) with one of {", ".join(alignment_modules())}'
        )
    options = _supported_options(found, channels=channels, align_corners=align_corners)
    return MODELS.build({**options, **align, 'type': found})


def build_context(context: dict[str, Any], **options: Any) -> nn.Module:
    """Build a context module.

    Args:
        context: ``dict(type=..., ...)``; its settings override the options.
        **options: ``in_channels``, ``channels``, ``conv_cfg``, ``norm_cfg``, ``act_cfg`` and
            ``align_corners`` of the decoder; a module gets those that it has as arguments.
    """
    found = _find_class(context['type'])
    if found is None:
        return MODELS.build(context)  # this raises an error that names the type
    return MODELS.build({**_supported_options(found, **options), **context, 'type': found})


def norm_or_identity(norm_cfg: dict[str, Any] | None) -> dict[str, Any]:
    """Replace None by an identity, for blocks that cannot be built without ``norm_cfg``."""
    return dict(type=nn.Identity) if norm_cfg is None else norm_cfg


def _supported_options(kind: type, **options: Any) -> dict[str, Any]:
    """Select the options that a class has as arguments."""
    arguments = inspect.signature(kind).parameters
    open_ended = any(a.kind is a.VAR_KEYWORD for a in arguments.values())
    return {k: v for k, v in options.items() if open_ended or k in arguments}


def _find_class(kind: Any) -> type | None:
    """Find the class of a name, in the default scope or in that of mmseg."""
    if not isinstance(kind, str):
        return kind
    with MODELS.switch_scope_and_registry(None) as registry:
        return registry.get(kind) or MODELS.get(kind)
