"""What a wheel built from the sdist carries, and the terms that come with it."""

import email
import os
import os.path as osp
import re
import shutil
import subprocess
import sys
import zipfile

import pytest
import yaml
from helpers import ROOT, read_text


def setup(cwd, *args):
    subprocess.run(
        [sys.executable, 'setup.py', '--quiet', *args],
        cwd=cwd,
        check=True,
        env=dict(os.environ, PYTHONWARNINGS='ignore'),
        stdout=subprocess.DEVNULL,
    )


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """Names of the files in a wheel built from an unpacked sdist."""
    tmp = tmp_path_factory.mktemp('dist')
    setup(ROOT, 'egg_info', '--egg-base', str(tmp), 'sdist', '--dist-dir', str(tmp / 'sdist'))
    (archive,) = (tmp / 'sdist').iterdir()
    shutil.unpack_archive(archive, tmp / 'source')
    (source,) = (tmp / 'source').iterdir()
    setup(source, 'bdist_wheel', '--dist-dir', str(tmp / 'wheel'))
    (path,) = (tmp / 'wheel').iterdir()
    with zipfile.ZipFile(path) as f:
        return set(f.namelist())


def tracked(folder):
    """Files under a folder of the repository, relative to it."""
    for base, _, files in os.walk(osp.join(ROOT, folder)):
        for name in files:
            if not name.endswith('.pyc'):
                yield osp.relpath(osp.join(base, name), ROOT)


def test_metadata_and_sdist_carry_the_terms(tmp_path):
    setup(ROOT, 'egg_info', '--egg-base', str(tmp_path))
    (info,) = tmp_path.iterdir()
    metadata = email.message_from_string((info / 'PKG-INFO').read_text(encoding='utf-8'))
    assert 'Apache-2.0' in (metadata['License-Expression'], metadata['License'])
    assert metadata['Author'] == 'sfnet_mm contributors'
    sources = (info / 'SOURCES.txt').read_text(encoding='utf-8').split()
    assert {'LICENSE', 'CITATION.cff', 'SECURITY.md', 'docs/terms.md'} <= set(sources)
    assert {'docs/conf.py', 'docs/images/demo.png', 'docker/cpu.Dockerfile'} <= set(sources)
    assert metadata['Version'] == re.search(r'^## (\S+)', read_text('CHANGELOG.md'), re.M)[1]
    needed = metadata.get_all('Requires-Dist')
    of = {extra: {n.split(';')[0] for n in needed if re.search(f'extra == .{extra}.', n)}
          for extra in metadata.get_all('Provides-Extra')}  # fmt: skip
    parts = ('weights', 'deploy', 'quantize', 'demo', 'panoptic', 'robustnet')
    assert all(of[name] for name in parts)
    assert of['all'] == set().union(*(of[name] for name in parts))
    notice = read_text('LICENSE')
    assert 'SPDX-License-Identifier: Apache-2.0' in notice
    assert 'https://www.apache.org/licenses/LICENSE-2.0' in notice


def test_citation_file_and_bibtex_name_the_same_paper():
    citation = yaml.safe_load(read_text('CITATION.cff'))
    assert citation['license'] == 'Apache-2.0'
    paper = citation['preferred-citation']
    bibtex = re.search(r'```bibtex\n(.*?)```', read_text('README.md'), re.DOTALL).group(1)
    fields = dict(re.findall(r'(\w+) += \{(.*)\}', bibtex))
    names = [f'{a["family-names"]}, {a["given-names"]}' for a in paper['authors']]
    assert fields['author'].split(' and ') == names and len(names) == 7
    assert fields['title'].replace('{', '').replace('}', '') == paper['title']
    assert (fields['journal'], fields['year']) == (paper['journal'], str(paper['year']))
    assert paper['url'].endswith(fields['note'][len('arXiv:') :])


@pytest.mark.slow
def test_wheel_from_sdist_carries_mim_whole(wheel):
    wanted = {f'sfnet_mm/.mim/{p}' for folder in ('configs', 'tools') for p in tracked(folder)}
    wanted.add('sfnet_mm/.mim/model-index.yml')
    assert not wanted - wheel


@pytest.mark.slow
def test_wheel_carries_every_module_and_nothing_else(wheel):
    modules = {p for p in tracked('sfnet_mm') if p.endswith('.py')}
    assert not modules - wheel
    outside = {n for n in wheel if not n.startswith(('sfnet_mm/', 'sfnet_mm-'))}
    assert not outside
