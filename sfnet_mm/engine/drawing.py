"""Hooks that only draw: what they cannot draw does not end a run."""

import functools
from collections.abc import Callable
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import MMLogger

from sfnet_mm.utils.tooling import first_line


def only_draws(hook: Hook) -> bool:
    """Whether a hook is mmseg's or mmdet's visualization hook, one of this package, or a child."""
    return any(kind.__name__.endswith('VisualizationHook') for kind in type(hook).__mro__)


def warn_instead_of_raising(hook: Hook) -> None:
    """Replace the methods of a hook that draw; the first error of the hook becomes a warning.

    mmseg's ``SegVisualizationHook`` raises where OpenCV cannot read an image, such as an array of
    numpy or an image of many bands, and a training would end at its first validation.
    """
    said = []

    def guarded(method: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(method)
        def call(*args: Any, **kwargs: Any) -> None:
            try:
                method(*args, **kwargs)
            except Exception as error:
                if not said:
                    said.append(True)
                    MMLogger.get_current_instance().warning(
                        f'{type(hook).__name__} cannot draw, and the run goes on without its '
                        f'pictures: {type(error).__name__}: {first_line(error)}'
                    )

        return call

    for name in ('after_val_iter', 'after_test_iter'):
        setattr(hook, name, guarded(getattr(hook, name)))
