"""Finds and loads the compiled operator, and says why it is not available."""

import contextlib
import glob
import mmap
import os.path as osp
import re
import sys
from collections.abc import Iterator

import torch

INSTALL = 'SFNET_MM_WITH_OPS=1 pip install --no-build-isolation .'
_BUILD_INFO = re.compile(rb'SFNET_MM_BUILD\{([^}]*)\}')


def read_build_info(library: str) -> dict[str, str]:
    """Read the build info ('torch', 'cuda', 'archs') of a compiled library without loading it."""
    with open(library, 'rb') as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as content:
        found = _BUILD_INFO.search(content)
        text = found.group(1).decode() if found else ''
    fields = text.split(';')
    return dict(field.split('=', 1) for field in fields if '=' in field)


def _public_version(version: str) -> str:
    return version.split('+')[0]


class Extension:
    """The compiled part of :mod:`sfnet_mm.ops`, which knows for which devices it can be used.

    Args:
        folder: Folder of the library, whose name is ``_ext`` with a suffix of shared libraries.

    Attributes:
        library: Path of the file, or None.
        info: Build info of the file.
        devices: Types of the devices that have kernels; empty if nothing is loaded.
        problem: One line that says why nothing is loaded; empty if something is.
    """

    def __init__(self, folder: str) -> None:
        files = sorted(glob.glob('_ext*', root_dir=folder))
        found = [name for name in files if name.endswith(('.so', '.pyd', '.dylib'))]
        self.library = osp.join(folder, found[0]) if found else None
        self.info: dict[str, str] = {}
        self.devices: tuple[str, ...] = ()
        self.problem = self._load()
        if not self.problem:
            self.devices = ('cpu', 'cuda') if 'cuda' in self.info else ('cpu',)

    def _load(self) -> str:
        if self.library is None:
            return f'the compiled flow warp is not built: {INSTALL}'
        try:
            self.info = read_build_info(self.library)
            built_for = self.info.get('torch', 'an unknown torch')
            # A library for another torch may load and then read the wrong fields of a tensor.
            if _public_version(built_for) != _public_version(torch.__version__):
                return (
                    f'{osp.basename(self.library)} was built for torch {built_for} and this is '
                    f'{torch.__version__}: build it again, {INSTALL}'
                )
            torch.ops.load_library(self.library)
        except (OSError, ValueError, RuntimeError) as error:
            reason = str(error).strip().splitlines()
            first = reason[0] if reason else type(error).__name__
            name = osp.basename(self.library)
            return f'{name} does not load ({first}): build it again, {INSTALL}'
        return ''

    def serves(self, device_type: str) -> bool:
        """Whether there is a kernel for tensors on this type of device."""
        return device_type in self.devices

    @contextlib.contextmanager
    def switched_off(self) -> Iterator[None]:
        """Make 'auto' select native inside the context, to compare the two."""
        devices, self.devices = self.devices, ()
        try:
            yield
        finally:
            self.devices = devices

    def why_not(self, device_type: str) -> str:
        """Say in a line why there is no kernel for the device type; empty if there is one."""
        if self.serves(device_type):
            return ''
        problem = self.problem or (
            f'{osp.basename(self.library or "_ext")} has no kernels for {device_type}'
            + (f': FORCE_CUDA=1 {INSTALL}' if device_type == 'cuda' else ', use native')
        )
        return f"backend='ext' cannot be used: {problem}"

    def describe(self) -> str:
        """Describe in lines what is compiled and what 'auto' selects."""
        lines = [f'torch:     {torch.__version__}, Python {sys.version.split()[0]}']
        if self.library is None or self.problem:
            lines.append(f'compiled:  no; {self.problem}')
        else:
            lines += [f'compiled:  {self.library}', f'built for: torch {self.info["torch"]}']
            lines.append('CPU:       AVX2 kernels where the processor has them, else baseline')
            archs = self.info.get('archs', 'unknown')
            cuda = self.info.get('cuda')
            lines.append(f'CUDA:      {cuda}, for {archs}' if cuda else 'CUDA:      no')
        picks = ', '.join(
            f'{"ext" if self.serves(device) else "native"} on {device}{maps}'
            for device, maps in (('cpu', ' (channels-last maps)'), ('cuda', ''))
        )
        lines.append(f"'auto':    {picks}; native during export and tracing")
        return '\n'.join(lines)


EXT = Extension(osp.dirname(__file__))


def has_ext() -> bool:
    """Whether the compiled flow warp is loaded (see ``python -m sfnet_mm.ops`` for the details)."""
    return bool(EXT.devices)
