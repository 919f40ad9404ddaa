"""What all command lines have in common."""

import argparse
import ast
import glob
import os.path as osp

import pytest
from helpers import ROOT, run_tool

PATHS = sorted(glob.glob(osp.join(ROOT, 'tools', '**', '*.py'), recursive=True))
NAMES = {osp.splitext(osp.basename(path))[0] for path in PATHS}


def imported(tree):
    """First parts of the modules that a file imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split('.')[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split('.')[0]


@pytest.mark.parametrize('path', PATHS, ids=lambda path: osp.relpath(path, ROOT))
def test_a_tool_is_a_main_with_arguments_and_no_library(path):
    with open(path, encoding='utf-8') as file:
        text = file.read()
    tree = ast.parse(text)
    (main,) = (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == 'main')
    assert [a.arg for a in main.args.args] == ['argv'], 'tests and programs call main([...])'
    assert text.endswith("\nif __name__ == '__main__':\n    main()\n")
    assert not NAMES & set(imported(tree)), 'what two tools share is in the package'


# train.py and test.py read their arguments before they import anything that takes time.
IN_FOLDERS = [path for path in PATHS if osp.basename(osp.dirname(path)) != 'tools']


@pytest.mark.parametrize('path', IN_FOLDERS, ids=lambda path: osp.relpath(path, ROOT))
def test_ctrl_c_ends_a_tool_with_one_line_and_code_130(path, monkeypatch, capsys):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', interrupt)
    monkeypatch.setattr(argparse.ArgumentParser, 'parse_known_args', interrupt)
    name = osp.splitext(osp.relpath(path, osp.join(ROOT, 'tools')))[0]
    with pytest.raises((SystemExit, KeyboardInterrupt)) as caught:
        run_tool(name)
    assert isinstance(caught.value, SystemExit) and caught.value.code == 130
    assert capsys.readouterr().err == 'interrupted\n'
