"""A wheelhouse made of an index of tiny wheels by uv and pip themselves, and installed by make."""

import os
import shutil
import subprocess
import sys
import venv
import zipfile

import pytest
from helpers import ROOT, load_tool

CURRENT = '{}.{}'.format(*sys.version_info)
TAG = f'cp{sys.version_info[0]}{sys.version_info[1]}'
COMPILED = f'{TAG}-{TAG}-manylinux_2_17_x86_64'
PURE = 'py3-none-any'


def write_wheel(folder, name, tag=PURE, requires=(), megabytes=0.0):
    module = name.replace('-', '_')
    info = f'{module}-1.0.dist-info'
    metadata = f'Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n'
    metadata += ''.join(f'Requires-Dist: {r}\n' for r in requires)
    files = {
        f'{module}.py': '',
        f'{module}_data.bin': os.urandom(int(megabytes * 2**20)),
        f'{info}/METADATA': metadata,
        f'{info}/WHEEL': f'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n',
    }
    record = ''.join(f'{path},,\n' for path in (*files, f'{info}/RECORD'))
    with zipfile.ZipFile(folder / f'{module}-1.0-{tag}.whl', 'w') as file:
        for path, content in (*files.items(), (f'{info}/RECORD', record)):
            file.writestr(path, content)


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """The tool on a project of its own, with an index that is a folder."""
    if not os.path.isfile(os.path.join(os.path.dirname(sys.executable), 'uv')):
        pytest.skip('needs uv: pip install uv')
    index, project = tmp_path / 'index', tmp_path / 'project'
    index.mkdir()
    (project / 'requirements').mkdir(parents=True)
    write_wheel(index, 'host', requires=['helper', 'numpy', 'matplotlib'])
    write_wheel(index, 'helper')
    write_wheel(index, 'matplotlib', requires=['contours', 'helper'])
    for name in ('contours', 'numpy', 'torch'):
        write_wheel(index, name, COMPILED)
    write_wheel(index, 'small', COMPILED, megabytes=1)
    write_wheel(index, 'large', COMPILED, requires=['of-large'], megabytes=5)
    write_wheel(index, 'of-large')
    write_wheel(index, 'weights', megabytes=6)
    write_wheel(index, 'panopticapi-lite', requires=['numpy<1'])
    files = dict(build='', runtime='numpy\n', mminstall='host>=1  # of all\n', mim='')
    files.update(tests='small', panoptic='large', weights='weights==1.0')
    for name, text in files.items():
        (project / 'requirements' / f'{name}.txt').write_text(text)
    (project / 'setup.py').write_text(
        "from setuptools import setup\nsetup(name='project', version='2.0', py_modules=[])\n"
    )
    for variable in ('PIP_EXTRA_INDEX_URL', 'PIP_CONSTRAINT'):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv('PIP_CONFIG_FILE', os.devnull)
    monkeypatch.setenv('PIP_NO_INDEX', '1')
    monkeypatch.setenv('PIP_FIND_LINKS', str(index))
    settings = tmp_path / 'uv.toml'
    settings.write_text(f"no-index = true\nfind-links = ['{index}']\n")
    for name, value in (('CONFIG_FILE', settings), ('OFFLINE', 1), ('CACHE_DIR', tmp_path / 'uv')):
        monkeypatch.setenv(f'UV_{name}', str(value))
    module = load_tool('deployment/make_wheelhouse')
    monkeypatch.setattr(module, 'ROOT', str(project))
    monkeypatch.setattr(module, 'PACKAGE', ('requirements', 'setup.py'))
    return module


def check(folder):
    return load_tool('deployment/check_wheelhouse').check(str(folder))


def names(folder):
    return sorted(p.name.split('-')[0] for p in folder.glob('*.whl'))


@pytest.mark.slow
def test_takes_pure_and_small_wheels_and_lists_the_large(tool, tmp_path):
    out = tmp_path / 'wheelhouse'
    line = tool.make(CURRENT, str(out), 60)
    assert line.startswith(f'{out}: 6 wheels for Python {CURRENT}, 7.')
    assert names(out) == ['helper', 'host', 'panopticapi_lite', 'project', 'small', 'weights']
    header, *needed = (out / 'NEEDED.txt').read_text().splitlines()
    assert header.startswith(f'# Python {CURRENT}:')
    assert needed == [
        'large 1.0 large optional',
        'matplotlib 1.0 matplotlib everything',
        'numpy 1.0 numpy everything',
        'torch 1.0 torch everything',
    ]
    asked = (out / 'requirements.txt').read_text().splitlines()
    assert asked == ['helper', 'host>=1', 'small', 'weights==1.0', 'panopticapi-lite']


@pytest.mark.slow
def test_a_wheelhouse_that_cannot_be_made_leaves_the_old_one(tool, tmp_path):
    out = tmp_path / 'wheelhouse'
    out.mkdir()
    (out / 'NEEDED.txt').write_text('old')
    before = sorted({*tmp_path.iterdir(), tmp_path / 'uv'})
    with pytest.raises(ValueError, match=r'^the wheels take 7\.\d MiB, .*weights.*6\.0 MiB$'):
        tool.make(CURRENT, str(out), 5)
    os.remove(tmp_path / 'index' / f'host-1.0-{PURE}.whl')
    write_wheel(tmp_path / 'index', 'host', COMPILED, megabytes=5)
    with pytest.raises(ValueError, match=f'^host==1.0: .*4 MiB.*Python {CURRENT}$'):
        tool.make(CURRENT, str(out), 60)
    os.remove(tmp_path / 'index' / f'host-1.0-{COMPILED}.whl')
    with pytest.raises(ValueError, match='^uv pip compile failed: [^\n]*$'):
        tool.make(CURRENT, str(out), 60)
    assert sorted(tmp_path.iterdir()) == before
    assert [p.name for p in out.iterdir()] == ['NEEDED.txt']
    with pytest.raises(ValueError, match='is not empty and no wheelhouse'):
        tool.make(CURRENT, str(tmp_path / 'index'), 60)


def test_check_names_what_is_missing_in_one_line(tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match=r'NEEDED.txt does not exist: run `make wheelhouse`'):
        check(tmp_path)
    needed = tmp_path / 'NEEDED.txt'
    needed.write_text('# Python 3.1: package\n')
    with pytest.raises(SystemExit, match=f'for Python 3.1, .* is {CURRENT}: .*PYTHON={CURRENT}'):
        check(tmp_path)
    (tmp_path / 'broken_library.py').write_text("raise OSError('libGL.so.1:\\nno such file')")
    monkeypatch.syspath_prepend(str(tmp_path))
    present = f'# Python {CURRENT}: package\nnumpy 2.0 numpy everything\n'
    needed.write_text(present + 'Absent-1 1.0 absent_1 optional\n')
    assert check(tmp_path).endswith('nothing is missing, only the optional Absent-1 (1.0)')
    needed.write_text(
        present + 'Absent-1 1.0 absent_1 everything\nbroken 3.0 broken_library everything\n'
    )
    line = r'lacks Absent-1 \(1.0\), broken \(3.0, which fails with: libGL.so.1: no such file\): '
    with pytest.raises(SystemExit, match=line) as caught:
        check(tmp_path)
    assert '\n' not in str(caught.value)


@pytest.mark.slow
def test_make_installs_it_beside_the_packages_of_another_venv(tool, tmp_path, monkeypatch):
    make = shutil.which('make')
    if make is None:
        pytest.skip('needs make')
    out, base, target = (tmp_path / name for name in ('wheelhouse', 'base', 'target'))
    tool.make(CURRENT, str(out), 60)
    venv.create(base, with_pip=False)
    packages = base / 'lib' / f'python{CURRENT}' / 'site-packages'
    for module in ('torch', 'numpy'):
        (packages / f'{module}.py').write_text("__version__ = 'of the base'")
    monkeypatch.delenv('PIP_FIND_LINKS')
    monkeypatch.delenv('PYTHONPATH', raising=False)
    command = [make, '--no-print-directory', f'VENV={target}', f'PYTHON={base}/bin/python']
    command += [f'WHEELHOUSE={out}', f'{target}/.hosts']

    def run():
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    failed = run()
    assert failed.returncode and 'lacks matplotlib (1.0): ' in failed.stderr
    (packages / 'matplotlib.py').write_text('')
    # The wheelhouse's own version counts, and brings its commands, where the base has one too.
    (packages / 'small-0.5.dist-info').mkdir()
    (packages / 'small-0.5.dist-info' / 'METADATA').write_text('Name: small\nVersion: 0.5\n')
    result = run()
    assert result.returncode == 0, result.stderr
    assert 'nothing is missing, only the optional large (1.0)' in result.stdout
    seen = subprocess.run(
        [target / 'bin' / 'python', '-c', 'import torch, host, small; print(torch.__version__)'],
        capture_output=True,
        text=True,
    )
    assert seen.stdout == 'of the base\n', seen.stderr
