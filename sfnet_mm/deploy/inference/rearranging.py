"""Replaces layers by their inference forms."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from torch import nn

from .folding import replace_module


@dataclass
class Rearranging:
    """The result of :func:`rearrange_layers`.

    Attributes:
        replaced: Dict from the name of a replaced layer to the layer.
        left: Dict from name to type of the layers that have no inference form for their arguments.
    """

    replaced: dict[str, nn.Module] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)

    def report(self) -> list[str]:
        """Describe the replaced layers in a line for each type, and each of the other layers."""
        counts = Counter(type(layer).__name__ for layer in self.replaced.values())
        lines = [f'{count} {kind} rearranged' for kind, count in counts.items()]
        lines += [f'left: {name} ({kind}) is not rearranged' for name, kind in self.left.items()]
        return lines

    def undo(self, model: nn.Module) -> None:
        """Put the replaced layers back into the model."""
        for name, layer in self.replaced.items():
            replace_module(model, name, layer)


def rearrange_layers(model: nn.Module, rearrange: bool) -> Rearranging:
    """Replace each layer that has an inference form by this form.

    A class offers the form by a method ``inference_form(rearrange)``. It returns a module with the
    same output, or None if the arguments of the layer allow no such form. Layers of other packages
    are treated in the same way. If a class inherits the method but overrides ``forward``, it
    computes something else, and its layers stay.

    Args:
        model: Model in evaluation mode with folded batch normalization. It is changed in place.
        rearrange: Whether to save multiplications at the cost of memory traffic. False takes only
            forms that are faster on any device.
    """
    result = Rearranging()
    for name, layer in list(_layers_with_form(model)):
        form = layer.inference_form(rearrange) if _has_own_form(type(layer)) else None
        if form is not None:
            replace_module(model, name, form)
            result.replaced[name] = layer
        elif rearrange:
            result.left[name] = type(layer).__name__
    return result


def _has_own_form(kind: type) -> bool:
    """Return whether the inference form belongs to the ``forward`` of this class."""
    owners = [
        next(c for c in kind.__mro__ if name in vars(c)) for name in ('inference_form', 'forward')
    ]
    return issubclass(*owners)


def _layers_with_form(module: nn.Module, prefix: str = '') -> Iterator[tuple[str, nn.Module]]:
    """Yield the name and the layer of each layer with an inference form, but none inside these."""
    for name, child in module.named_children():
        if callable(getattr(child, 'inference_form', None)):
            yield prefix + name, child
        else:
            yield from _layers_with_form(child, f'{prefix}{name}.')
