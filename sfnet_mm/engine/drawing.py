"""Turns the errors of hooks that only draw into warnings, so that they do not end a run."""

import functools
from collections.abc import Callable
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import MMLogger

from sfnet_mm.utils.tooling import first_line


def only_draws(hook: Hook) -> bool:
    """Return whether a hook is a visualization hook of mmseg, mmdet or this package."""
    return any(kind.__name__.endswith('VisualizationHook') for kind in type(hook).__mro__)


def warn_instead_of_raising(hook: Hook) -> None:
    """Replace the methods of a hook that draw; the first error of the hook becomes a warning.

    mmseg's ``SegVisualizationHook`` raises an error if OpenCV cannot read an image, such as a numpy
    array or an image of many bands. Then a training would end at its first validation.
    """
    warned = []

    def guarded(method: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(method)
        def call(*args: Any, **kwargs: Any) -> None:
            try:
                method(*args, **kwargs)
            except Exception as error:
                if not warned:
                    warned.append(True)
                    MMLogger.get_current_instance().warning(
                        f'{type(hook).__name__} cannot draw, and the run goes on without its '
                        f'pictures: {type(error).__name__}: {first_line(error)}'
                    )

        return call

    for name in ('after_val_iter', 'after_test_iter'):
        setattr(hook, name, guarded(getattr(hook, name)))
