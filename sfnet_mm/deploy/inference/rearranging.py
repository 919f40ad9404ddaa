"""Replaces layers by what they become for inference."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from torch import nn

from .folding import replace_module


@dataclass
class Rearranging:
    """What :func:`rearrange_layers` did.

    Attributes:
        replaced: The layers in whose place an inference form stands, by name.
        left: Names and types of those that have one, but not as they are configured.
    """

    replaced: dict[str, nn.Module] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)

    def report(self) -> list[str]:
        """Lines that say it, one for each type of layer."""
        counts = Counter(type(layer).__name__ for layer in self.replaced.values())
        lines = [f'{count} {kind} rearranged' for kind, count in counts.items()]
        lines += [f'left: {name} ({kind}) is not rearranged' for name, kind in self.left.items()]
        return lines

    def undo(self, model: nn.Module) -> None:
        """Put the layers back."""
        for name, layer in self.replaced.items():
            replace_module(model, name, layer)


def rearrange_layers(model: nn.Module, rearrange: bool) -> Rearranging:
    """Put the inference form of each layer that has one in its place.

    A layer has one if its class has a method ``inference_form(rearrange)``, which returns a module
    that computes the same, or None where the layer, as it is configured, has no such form. Layers
    of other packages are treated alike. A class that inherits the method but overrides ``forward``
    computes something else, and is left.

    Args:
        model: In evaluation mode, with folded batch normalization; changed in place.
        rearrange: Whether to save multiplications at the cost of memory traffic. False takes only
            forms that pay on any device.
    """
    result = Rearranging()
    for name, layer in list(_layers_with_form(model)):
        form = layer.inference_form(rearrange) if _own_form(type(layer)) else None
        if form is not None:
            replace_module(model, name, form)
            result.replaced[name] = layer
        elif rearrange:
            result.left[name] = type(layer).__name__
    return result


def _own_form(kind: type) -> bool:
    """Whether the inference form is that of the ``forward`` of this class."""
    owners = [
        next(c for c in kind.__mro__ if name in vars(c)) for name in ('inference_form', 'forward')
    ]
    return issubclass(*owners)


def _layers_with_form(module: nn.Module, prefix: str = '') -> Iterator[tuple[str, nn.Module]]:
    """Names and layers; what is inside of such a layer is its own matter."""
    for name, child in module.named_children():
        if callable(getattr(child, 'inference_form', None)):
            yield prefix + name, child
        else:
            yield from _layers_with_form(child, f'{prefix}{name}.')
