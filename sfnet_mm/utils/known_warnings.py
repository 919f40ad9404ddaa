"""Warnings of the hosts that every run prints and that ask nothing of a user."""

import logging
import re
import warnings

# Beginning of each, as Python's ``warnings`` give them.
PYTHON = (
    '``build_loss`` would be deprecated soon',  # mmseg builds its own heads with it
    'Unnecessary conv bias before batch/instance norm',  # as the published checkpoints have it
    'Default ``avg_non_ignore`` is False',  # mmseg averages so in all of its configs
    'The draw is False, it means that the hook',  # pictures are asked for by --show-dir
    'When align_corners=True, the output would more aligned',  # the sizes are the paper's
    'pkg_resources is deprecated as an API',  # setuptools<81 is pinned for it
)
# Beginning of each, as mmengine's logger gives them.
LOGGED = (
    'The prefix is not set in metric class',
    '"FileClient" will be deprecated in future',
    '"HardDiskBackend" is the alias of "LocalBackend"',
    '`save_param_scheduler` is True but `self.param_schedulers` is None',
)


def ignore_python_warnings() -> None:
    """Keep those of ``PYTHON`` off the screen, and no others."""
    for beginning in PYTHON:
        warnings.filterwarnings('ignore', message=re.escape(beginning))


def is_unknown(record: logging.LogRecord) -> bool:
    """Whether a record of a logger is none of ``LOGGED``; a filter for ``logging``."""
    return not record.getMessage().startswith(LOGGED)
