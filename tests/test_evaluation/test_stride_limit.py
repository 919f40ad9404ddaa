"""The IoU that a stride leaves, against figures worked out by hand."""

import json

import cv2
import numpy as np
import pytest
import torch
from helpers import run_tool

from sfnet_mm.evaluation.stride_limit import stride_limits

TOOL = 'analysis_tools/stride_limits'


def column(first, last, side=8):
    """Class 0 with a column of class 1 from ``first`` to ``last``."""
    label = torch.zeros(side, side, dtype=torch.uint8)
    label[:, first : last + 1] = 1
    return label


def test_a_column_of_three_pixels():
    # The cells of 4 columns have the shares 0 and 3/4 of class 1. At the centers of columns 3 to 6
    # bilinear weights 3/8, 5/8, 7/8 and 1 make 0.28, 0.47, 0.66 and 0.75: columns 5 to 7 win.
    limits = stride_limits([column(4, 6)], 2, [1, 4])
    assert limits[1] == [100, 100]
    assert limits[4] == pytest.approx([100 * 4 / 6, 100 * 2 / 4])
    # A single column is a quarter of its cells and never the largest share.
    assert stride_limits([column(3, 3)], 2, [4])[4] == pytest.approx([100 * 7 / 8, 0])


def test_areas_are_summed_over_images_and_ignored_pixels_do_not_count():
    # Both columns give class 1 an intersection of 2 and 0, a union of 4 and 1, in each of 8 rows.
    limits = stride_limits([column(4, 6), column(3, 3)], 3, [4])
    assert limits[4] == [pytest.approx(100 * 11 / 14), pytest.approx(100 * 2 / 5), None]
    ignored = column(4, 6)
    # Column 7 is out of the union, and has no share: in column 4, 0.47 now meets 3/8.
    ignored[:, 7] = 255
    assert stride_limits([ignored], 2, [4])[4][1] == 100
    # The ignored label may be that of a class.
    ignored[:, 7] = 2
    assert stride_limits([ignored], 3, [4], ignore_index=2)[4][1:] == [100, None]
    ignored[:, 7] = 9
    assert stride_limits([ignored], 2, [4])[4][1] == 100


def test_sides_that_are_no_multiples():
    # Shares of the cells of columns 0 to 3, and of column 4 with its overlap: 3/4 and 2/4.
    assert stride_limits([column(0, 4, 5)], 2, [4])[4] == [None, 100]


def test_command_reads_the_labels_of_a_config(tmp_path, capsys):
    for split in ('val', 'valannot'):
        (tmp_path / split).mkdir()
    label = np.full((8, 8), 1, np.uint8)
    label[:, 4:7] = 2
    cv2.imwrite(str(tmp_path / 'valannot' / 'a.png'), label)
    cv2.imwrite(str(tmp_path / 'val' / 'a.png'), np.zeros((8, 8, 3), np.uint8))
    out = tmp_path / 'limits.json'
    root = f'val_dataloader.dataset.data_root={tmp_path}'
    run_tool(
        TOOL, 'configs/sfnet_efflite0_camvid360.py', '--strides', 4, '--cfg-options', root,
        '--out', out,
    )  # fmt: skip
    result = json.loads(out.read_text())
    assert result['images'] == 1 and result['classes'][:3] == ['sky', 'building', 'pole']
    assert result['limits']['4'][:3] == [None, pytest.approx(100 * 4 / 6), pytest.approx(50)]
    row = next(s for s in capsys.readouterr().out.splitlines() if s.startswith('| 4 |'))
    assert row.startswith('| 4 | - | 66.7 | 50.0 | - |')
    (tmp_path / 'valannot' / 'a.png').unlink()
    for arguments, named in (
        (['--out', tmp_path / 'absent' / 'a.json', '--cfg-options', root], 'make the folder'),
        (['--cfg-options', root], 'val_dataloader: .*valannot'),
    ):
        with pytest.raises(SystemExit, match=f'^error: .*{named}'):
            run_tool(TOOL, 'configs/sfnet_efflite0_camvid360.py', *arguments)
    with pytest.raises(SystemExit) as end:
        run_tool(TOOL, 'configs/sfnet_efflite0_camvid360.py', '--strides', 0)
    assert end.value.code == 2 and '--strides 0 must be positive' in capsys.readouterr().err
