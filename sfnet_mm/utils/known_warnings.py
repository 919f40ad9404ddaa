"""Hides warnings of the hosts that every run prints and that a user need not act on."""

import contextlib
import logging
import re
import warnings
from collections.abc import Iterator

# The warnings of Python's ``warnings`` that are hidden begin with these texts.
PYTHON = (
    '``build_loss`` would be deprecated soon',  # mmseg builds its own heads with it
    'Unnecessary conv bias before batch/instance norm',  # the published checkpoints have it
    'Default ``avg_non_ignore`` is False',  # mmseg averages so in all of its configs
    'The draw is False, it means that the hook',  # --show-dir asks for pictures
    'When align_corners=True, the output would more aligned',  # the sizes are the paper's
    'pkg_resources is deprecated as an API',  # setuptools<81 is pinned for it
)
# The messages of mmengine's logger that are hidden begin with these texts.
LOGGED = (
    'The prefix is not set in metric class',
    '"FileClient" will be deprecated in future',
    '"HardDiskBackend" is the alias of "LocalBackend"',
    '`save_param_scheduler` is True but `self.param_schedulers` is None',
)


def ignore_python_warnings() -> None:
    """Hide the warnings of ``PYTHON``, and no others."""
    for beginning in PYTHON:
        warnings.filterwarnings('ignore', message=re.escape(beginning))


@contextlib.contextmanager
def known_warnings_ignored() -> Iterator[None]:
    """Hide the warnings of ``PYTHON`` inside a block of code only."""
    with warnings.catch_warnings():
        ignore_python_warnings()
        yield


def is_unknown(record: logging.LogRecord) -> bool:
    """Return whether a record is not in ``LOGGED``. The function is a filter for ``logging``."""
    return not record.getMessage().startswith(LOGGED)
