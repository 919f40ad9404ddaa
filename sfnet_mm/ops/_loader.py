"""Finds and loads the compiled operator, and knows why it is not there."""

from pathlib import Path

import torch

INSTALL = 'SFNET_MM_WITH_OPS=1 pip install --no-build-isolation .'


class Extension:
    """The compiled part of :mod:`sfnet_mm.ops`: what of it can be used, and why the rest cannot."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.devices: tuple = ()
        self.problem = f'the compiled flow warp is not built: {INSTALL}'

    def serves(self, device_type: str) -> bool:
        """Whether there is a kernel for tensors on that type of device."""
        return device_type in self.devices

    def why_not(self, device_type: str) -> str:
        """One line saying why there is no kernel for the device type; empty if there is one."""
        if self.serves(device_type):
            return ''
        return f"backend='ext' cannot be used: {self.problem}"


EXT = Extension(Path(__file__).parent)


def has_ext() -> bool:
    """Whether the compiled flow warp is loaded (see ``python -m sfnet_mm.ops`` for the details)."""
    return bool(EXT.devices)
