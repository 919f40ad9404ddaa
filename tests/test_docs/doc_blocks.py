"""The code blocks of the pages, each with the comment before it that says how it is checked.

<!-- runs: tests/test_docs/test_custom_data.py -->   a test runs the block
<!-- file: my_config.py -->                    a test writes the block to this file and uses it
<!-- needs: Cityscapes -->                     cannot run here, and for want of what
<!-- shows: layout of a folder -->             no code: a listing, an output, a citation
"""

import contextlib
import io
import logging
import os
import os.path as osp
import re
import subprocess
import sys
from glob import glob
from typing import NamedTuple

import pytest
from helpers import ROOT, read_text, run_tool
from markdown_it import MarkdownIt
from mmengine.logging import MMLogger

KINDS = ('runs', 'file', 'needs', 'shows')
MARKER = re.compile(r'\s*<!-- (\w+): (.+?) -->\s*$')


class Block(NamedTuple):
    """A block of a page; ``kind`` and ``about`` are empty where no comment stands before it."""

    page: str
    line: int
    language: str
    text: str
    kind: str
    about: str

    def __str__(self) -> str:
        return f'{self.page}:{self.line}'


def pages() -> list[str]:
    """Paths, relative to the repository, of README and all pages of docs."""
    found = glob(osp.join(ROOT, 'docs', '**', '*.md'), recursive=True)
    names = [osp.join(ROOT, 'README.md'), *found]
    return sorted(osp.relpath(p, ROOT) for p in names if f'{osp.sep}_build{osp.sep}' not in p)


def blocks(page: str) -> list[Block]:
    """The blocks of a page, fenced or indented, in order."""
    tokens, found = MarkdownIt().parse(read_text(page)), []
    for before, token in zip([None, *tokens], tokens):
        if token.type not in ('fence', 'code_block'):
            continue
        marker = before and before.type == 'html_block' and MARKER.match(before.content)
        kind, about = marker.groups() if marker else ('', '')
        found.append(Block(page, token.map[0] + 1, token.info, token.content, kind, about))
    return found


def run(block: Block, folder: str, *changes: tuple[str, str], installed: bool = False) -> str:
    """Run a block of bash or Python in a folder and return what it prints.

    Commands of bash that run a tool of the repository, and blocks of Python, run in this process.

    Args:
        block: The block; commands find the tools of the repository in the folder.
        folder: Where to run; ``tools``, ``configs`` and ``docs`` appear in it.
        changes: Texts of the block to replace, such as a number of iterations. Each must be there.
        installed: Use the installed package in processes of its own, and show the folder nothing of
            the repository.
    """
    text = changed(block, *changes)
    if installed:
        env = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
        return bash(text, folder, dict(env, PYTHONWARNINGS='ignore'))
    for name in ('tools', 'configs', 'docs', 'requirements'):
        if not osp.exists(osp.join(folder, name)):
            os.symlink(osp.join(ROOT, name), osp.join(folder, name))
    shown = io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(shown),
        contextlib.redirect_stderr(shown),
    ):
        patch.chdir(folder)
        for handler in MMLogger.get_current_instance().handlers:
            if type(handler) is logging.StreamHandler:
                patch.setattr(handler, 'stream', shown)
        if block.language == 'python':
            exec(compile(text, str(block), 'exec'), {'__name__': '__main__'})
            return shown.getvalue()
        before = ''
        for line in text.replace('\\\n', ' ').splitlines(keepends=True):
            if line.startswith('python tools/'):
                # Variables and wildcards are those of bash.
                line = line.replace('python tools/', r'printf "%s\n" ', 1)
                name, *arguments = bash(before + line, folder).splitlines()
                run_tool(osp.splitext(name)[0], *arguments)
            else:
                before += line
    return shown.getvalue()


def bash(text: str, folder: str, env: dict[str, str] | None = None) -> str:
    """Run lines of bash, which must succeed, and return what they print."""
    env = dict(env or os.environ)
    env['PATH'] = os.pathsep.join([osp.dirname(sys.executable), env['PATH']])
    result = subprocess.run(
        ['bash', '-euo', 'pipefail', '-c', text],
        cwd=folder,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert result.returncode == 0, f'{text}\n{result.stdout[-3000:]}'
    return result.stdout


def changed(block: Block, *changes: tuple[str, str]) -> str:
    """The text of a block with some replacements, each of which must apply."""
    text = block.text
    for old, new in changes:
        assert old in text, f'{block} has no {old!r}'
        text = text.replace(old, new)
    return text


def write(block: Block, folder: str, *changes: tuple[str, str]) -> None:
    """Write a block marked ``file`` to its file in a folder."""
    assert block.kind == 'file', block
    with open(osp.join(folder, block.about), 'w', encoding='utf-8') as f:
        f.write(changed(block, *changes))
