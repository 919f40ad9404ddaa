"""What the tools share."""

import argparse

import pytest
from helpers import run_tool

from sfnet_mm.utils.tooling import (
    check_out_folder,
    image_size,
    mean_and_spread,
    replace_between,
    write_text,
)


def test_image_size():
    assert image_size('1024x2048') == (1024, 2048) and image_size('64X32') == (64, 32)


@pytest.mark.parametrize('text', ['1024', '1024x', 'x', '0x64', '-1x64', '64x64x3', 'axb', ''])
def test_other_forms_of_a_size_are_named(text):
    with pytest.raises(argparse.ArgumentTypeError, match='is not HEIGHTxWIDTH'):
        image_size(text)


def test_file_appears_whole_in_a_new_folder_or_stays(tmp_path):
    path = tmp_path / 'new' / 'page.md'
    write_text(str(path), 'ä\n')
    assert path.read_text(encoding='utf-8') == 'ä\n'
    with pytest.raises(UnicodeEncodeError):
        write_text(str(path), 'half \ud800')  # cannot be encoded: the old text stays
    assert path.read_text(encoding='utf-8') == 'ä\n'
    assert [p.name for p in path.parent.iterdir()] == ['page.md']


def test_folder_that_takes_no_files(tmp_path):
    (tmp_path / 'file').touch()
    for path in ('/proc/new/out', f'{tmp_path}/file', f'{tmp_path}/file/out'):
        with pytest.raises(PermissionError, match=f'^--out {path} cannot be written: '):
            check_out_folder(path, '--out')
    check_out_folder(f'{tmp_path}/new/out', '--out')
    assert [p.name for p in tmp_path.iterdir()] == ['file']


def test_text_between_markers():
    assert replace_between('a<b>old</b>c', '<b>', '</b>', 'new', 'page') == 'a<b>new</b>c'
    for text in ('a</b>', 'a<b>', '<b><b></b>'):
        with pytest.raises(SystemExit, match='error: page lacks its markers <b> and </b>'):
            replace_between(text, '<b>', '</b>', 'new', 'page')


def test_mean_and_spread():
    assert mean_and_spread([3.0]) == '3.00'
    assert mean_and_spread([1.0, 3.0], 1) == '2.0 ± 1.4'  # sqrt(2)


def test_export_into_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SystemExit, match=r'error: .*nodir/x\.onnx cannot be written: make the'):
        run_tool('deployment/export_onnx', 'config.py', 'none', f'{tmp_path}/nodir/x.onnx')
