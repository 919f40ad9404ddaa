"""Every code block of README and docs: run by a test, or said to need what cannot be here."""

import ast
import contextlib
import io
import os
import os.path as osp
import re
import runpy
import shlex
import sys
from functools import cache

import pytest
from doc_blocks import KINDS, blocks, pages, run
from helpers import ROOT, read_text

from sfnet_mm import config_path

BLOCKS = [block for page in pages() for block in blocks(page)]
HERE = 'tests/test_docs/test_blocks.py'
TOOL = re.compile(r'\btools/[\w/]+\.py\b')
CONFIG = re.compile(r'(?<![\w/])configs/[\w/]+\.py\b')


def test_every_block_says_how_it_is_checked():
    bare = [str(b) for b in BLOCKS if b.kind not in KINDS and not b.language.startswith('{')]
    assert not bare, f'no comment (tests/test_docs/doc_blocks.py) before {", ".join(bare)}'
    tests = {b.about for b in BLOCKS if b.kind == 'runs'}
    assert not [name for name in tests if not osp.isfile(osp.join(ROOT, name))]


@pytest.mark.parametrize('block', [b for b in BLOCKS if b.language == 'python'], ids=str)
def test_python_parses_and_imports_what_is_there(block):
    """All that is imported from sfnet_mm exists, also in blocks that cannot run."""
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and (node.module or '').startswith('sfnet_mm'):
            if node.module.startswith('sfnet_mm.panoptic'):
                pytest.importorskip('mmdet')
            module = __import__(node.module, fromlist=['x'])
            for name in node.names:
                assert hasattr(module, name.name), f'{block}: {node.module} lacks {name.name}'


def commands(block):
    """The commands of a block of a shell, each as its words."""
    text = block.text.replace('\\\n', ' ')
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        if words:
            yield words


SHELL = [b for b in BLOCKS if b.language == 'bash']


@cache
def options_of(tool):
    """The options that the help page of a tool names; the tool runs in this process."""
    shown = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(shown):
        patch.setattr(sys, 'argv', [osp.basename(tool), '--help'])
        patch.setenv('LOCAL_RANK', '0')
        with pytest.raises(SystemExit) as end:
            runpy.run_path(osp.join(ROOT, tool), run_name='__main__')
    assert not end.value.code, f'{tool} --help ends with {end.value.code}'
    return set(re.findall(r'(?<![\w-])--?[a-z][\w-]*', shown.getvalue()))


def find_tool(words):
    """The tool of the repository that a command runs, and its arguments."""
    for i, word in enumerate(words):
        if TOOL.fullmatch(word):
            return word, words[i + 1 :]
    if words[:1] == ['mim'] and words[1] in ('train', 'test'):
        # These are mim's own; the others are handed to the tool.
        mims = {'--work-dir', '--gpus', '--checkpoint', '-y', '--launcher'}
        return f'tools/{words[1]}.py', [w for w in words[3:] if w not in mims]
    if words[:3] == ['mim', 'run', 'sfnet_mm']:
        for base, _, files in os.walk(osp.join(ROOT, 'tools')):
            if f'{words[3]}.py' in files:
                return osp.relpath(osp.join(base, f'{words[3]}.py'), ROOT), words[4:]
        raise AssertionError(f'no tool is called {words[3]}')
    return None, []


USED = sorted({find_tool(words)[0] for b in SHELL for words in commands(b)} - {None})


@pytest.mark.parametrize('tool', USED)
def test_options_of_the_commands_exist(tool):
    for block in SHELL:
        for words in commands(block):
            name, arguments = find_tool(words)
            if name == tool:
                used = {w.split('=')[0] for w in arguments if re.match(r'--?[a-z]', w)}
                assert used <= options_of(tool), f'{block}: {tool} has no {used - options_of(tool)}'


@pytest.mark.parametrize('page', pages())
def test_files_that_a_page_names_exist(page):
    text = read_text(page)
    for name in {*TOOL.findall(text), *CONFIG.findall(text)}:
        assert osp.isfile(osp.join(ROOT, name)), f'{page} names {name}, which does not exist'


def test_make_targets_exist():
    targets = set(re.findall(r'^([\w-]+):', read_text('Makefile'), re.M))
    for block in SHELL:
        for words in commands(block):
            if words[0] == 'make':
                wanted = {w for w in words[1:] if '=' not in w}
                assert wanted <= targets, f'{block}: make has no {wanted - targets}'


@pytest.mark.parametrize(
    'block', [b for b in BLOCKS if b.about == HERE and b.language == 'python'], ids=str
)
def test_python_that_needs_nothing_runs(block, tmp_path):
    run(block, tmp_path)


def test_a_config_that_builds_on_one_of_the_package_is_read(tmp_path):
    from mmengine.config import Config

    block = next(b for b in BLOCKS if b.about == 'mine.py')
    (tmp_path / 'mine.py').write_text(block.text)
    cfg = Config.fromfile(tmp_path / 'mine.py')
    base = Config.fromfile(config_path('sfnet_lite_stdc1_cityscapes'))
    assert cfg.model == base.model and cfg.optim_wrapper.optimizer.lr == 0.005
