"""What all command lines have in common."""

import ast
import glob
import os.path as osp

import pytest
from helpers import ROOT

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
