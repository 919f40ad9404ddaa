import cv2
import numpy as np
import pytest
from helpers import ROOT
from mmengine.config import Config

from sfnet_mm.datasets.label_files import label_table, read_label


@pytest.mark.parametrize(
    'config, table',
    [
        ('sfnet_lite_stdc1_cityscapes', 'cityscapes'),
        ('sfnet_lite_stdc1_idd', 'idd'),
        ('sfnet_lite_stdc1_miniuds', 'none'),
    ],
)
def test_table_of_a_config_is_that_of_its_only_source(config, table):
    assert label_table(Config.fromfile(f'{ROOT}/configs/{config}.py')) == table


def test_data_set_of_mmseg_or_none_at_all_has_no_table():
    city = dict(type='CityscapesDataset', data_root='.')
    repeated = dict(type='RepeatDataset', times=2, dataset=city)
    assert label_table(Config(dict(test_dataloader=dict(dataset=repeated)))) == 'none'
    assert label_table(Config(dict(test_dataloader=None))) == 'none'


def test_label_ids_of_cityscapes_become_its_19_classes(tmp_path):
    # road, sidewalk, building, car, bicycle and "out of roi", by cityscapesScripts
    ids = np.array([[7, 8, 11], [26, 33, 3]], np.uint8)
    path = str(tmp_path / 'x_gtFine_labelIds.png')
    cv2.imwrite(path, ids)
    assert read_label(path, 'cityscapes', 19).tolist() == [[0, 1, 2], [13, 18, 255]]
    with pytest.raises(ValueError, match='holds 26, but the classes are 0 to 18') as caught:
        read_label(path, 'none', 19)
    assert path in str(caught.value) and '--label-table' in str(caught.value)


def test_train_ids_are_no_label_ids_and_pass_without_a_table(tmp_path):
    path = str(tmp_path / 'x_gtFine_labelTrainIds.png')
    cv2.imwrite(path, np.array([[0, 18, 255]], np.uint8))
    assert read_label(path, 'none', 19).tolist() == [[0, 18, 255]]
    with pytest.raises(ValueError, match='255.*--label-table'):
        read_label(path, 'cityscapes', 19)
    cv2.imwrite(path, np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(ValueError, match='3 channels'):
        read_label(path, 'none', 19)
