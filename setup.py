"""Build of sfnet_mm: the package, and inside it ``.mim/`` with configs, tools and the model index.

A plain install compiles nothing. ``SFNET_MM_WITH_OPS=1 pip install --no-build-isolation .`` also
builds the flow-warp kernels, with CUDA if a device is there or ``FORCE_CUDA=1`` is set.
"""

import os
import os.path as osp
import shutil
import sys

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = osp.dirname(osp.abspath(__file__))
MIM_CONTENT = ('configs', 'tools', 'weights', 'model-index.yml')


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
                    ignore=shutil.ignore_patterns('__pycache__', '*.pyc'),
                )
            else:
                os.makedirs(target, exist_ok=True)
                shutil.copy(source, target)


def get_extensions():
    """The compiled flow warp, if asked for by ``SFNET_MM_WITH_OPS=1``; see ``sfnet_mm/ops/csrc``.

    CUDA kernels are built where torch sees a device, or by ``FORCE_CUDA=1`` for the architectures
    of ``TORCH_CUDA_ARCH_LIST``.
    """
    if os.getenv('SFNET_MM_WITH_OPS', '0') != '1':
        return []
    try:
        import torch
    except ModuleNotFoundError as error:
        raise SystemExit(
            'SFNET_MM_WITH_OPS=1 compiles against the installed torch: install torch first and '
            'pass --no-build-isolation to pip'
        ) from error
    from torch.utils.cpp_extension import CppExtension, CUDAExtension

    source = osp.join('sfnet_mm', 'ops', 'csrc')
    files = [
        'flow_warp.cpp',
        'cpu/flow_warp.cpp',
        'cpu/kernels_default.cpp',
        'cpu/kernels_avx2.cpp',
    ]
    info = {'torch': torch.__version__}
    with_cuda = torch.cuda.is_available() or os.getenv('FORCE_CUDA', '0') == '1'
    if with_cuda:
        if not torch.version.cuda:
            raise SystemExit(
                f'FORCE_CUDA=1 needs a torch with CUDA, and torch {torch.__version__} has none'
            )
        if not torch.cuda.is_available() and not os.getenv('TORCH_CUDA_ARCH_LIST'):
            recent = tuple(map(int, torch.version.cuda.split('.'))) >= (12, 8)
            os.environ['TORCH_CUDA_ARCH_LIST'] = (
                '7.5;8.0;8.6;8.9;9.0;10.0;12.0+PTX' if recent else '7.5;8.0;8.6;8.9;9.0+PTX'
            )
        files.append('cuda/flow_warp.cu')
        info['cuda'] = torch.version.cuda
        info['archs'] = os.getenv('TORCH_CUDA_ARCH_LIST', '').replace(';', ' ') or ' '.join(
            sorted(
                {
                    '{}.{}'.format(*torch.cuda.get_device_capability(i))
                    for i in range(torch.cuda.device_count())
                }
            )
        )
    text = ';'.join(f'{key}={value}' for key, value in info.items())
    flags = ['-O3', '-g0', '-Wno-psabi'] if os.name == 'posix' else []
    openmp = ['-fopenmp'] if sys.platform.startswith('linux') else []
    return [
        (CUDAExtension if with_cuda else CppExtension)(
            'sfnet_mm.ops._ext',
            sources=[osp.join(source, name) for name in files],
            define_macros=[('SFNET_BUILD_INFO', f'"{text}"')],
            # Without OpenMP in the flags, at::parallel_for of these files runs on one thread.
            extra_compile_args={'cxx': flags + openmp, 'nvcc': ['-O3']},
            extra_link_args=openmp,
            py_limited_api=True,
        )
    ]


def get_cmdclass():
    commands = {'build_py': BuildWithMim}
    if os.getenv('SFNET_MM_WITH_OPS', '0') == '1':
        from torch.utils.cpp_extension import BuildExtension

        commands['build_ext'] = BuildExtension
    return commands


def extras():
    parts = ('panoptic', 'robustnet', 'deploy', 'quantize', 'demo', 'weights')
    names = (*parts, 'tests', 'lint', 'docs')
    present = [n for n in names if osp.exists(osp.join(ROOT, 'requirements', f'{n}.txt'))]
    extra = {name: requirements(f'{name}.txt') for name in present}
    # What a user of any part needs; tests, lint and docs are for those who change the package.
    extra['all'] = sorted({line for name in parts for line in extra.get(name, ())})
    return extra


setup(
    name='sfnet_mm',
    version=version(),
    description='SFNet and SFNet-Lite for MMSegmentation: segmentation aligned by semantic flow',
    long_description=read('README.md'),
    long_description_content_type='text/markdown',
    author='sfnet_mm contributors',
    license='Apache-2.0',
    license_files=['LICENSE'],
    url='https://arxiv.org/abs/2207.04415',
    keywords='computer vision, semantic segmentation, panoptic segmentation, real time',
    packages=find_packages(include=('sfnet_mm', 'sfnet_mm.*')),
    include_package_data=True,
    python_requires='>=3.10',
    install_requires=requirements('runtime.txt'),
    # `mim install sfnet_mm` reads the extra called mim.
    extras_require={'mim': requirements('mminstall.txt'), **extras()},
    ext_modules=get_extensions(),
    cmdclass=get_cmdclass(),
    zip_safe=False,
)
