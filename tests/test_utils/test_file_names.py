import os

import pytest
from helpers import png_dataset
from mmengine.dataset import ConcatDataset
from mmseg.registry import DATASETS

from sfnet_mm.deploy.predictor import output_names
from sfnet_mm.utils.file_names import (
    NameCollision,
    dataset_names,
    distinct_names,
    find_images,
    refuse_overwriting,
)


@pytest.fixture
def drives(tmp_path, monkeypatch):
    """Two drives whose frames have the same names, and what is no image."""
    monkeypatch.chdir(tmp_path)
    for path in (
        'drives/0/frame1.png',
        'drives/1/frame1.png',
        'drives/1/late/frame1.JPG',
        'drives/1/.thumbs/frame1.png',
        'drives/1/._frame1.png',
        'drives/1/notes.txt',
    ):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, 'w').close()
    return tmp_path


def test_names_are_paths_below_the_folder(drives):
    assert find_images(['drives']) == {
        '0/frame1': 'drives/0/frame1.png',
        '1/frame1': 'drives/1/frame1.png',
        '1/late/frame1': 'drives/1/late/frame1.JPG',
    }
    assert list(find_images(['drives/1/'])) == ['frame1', 'late/frame1']


def test_several_folders_stand_in_front(drives):
    assert list(find_images(['drives/0', 'drives/1'])) == ['0/frame1', '1/frame1', '1/late/frame1']
    assert list(find_images(['drives/0', 'drives/0/', 'drives/0/frame1.png'])) == ['frame1']


def test_what_still_collides_is_refused_with_both_paths(drives):
    with pytest.raises(NameCollision, match='drives/0/frame1.png and drives/1/frame1.png'):
        find_images(['drives/0/frame1.png', 'drives/1/frame1.png'])
    open('drives/0/frame1.jpg', 'w').close()
    with pytest.raises(NameCollision, match='frame1.jpg and drives/0/frame1.png'):
        find_images(['drives'])
    os.makedirs('other/0')
    open('other/0/frame1.png', 'w').close()
    with pytest.raises(NameCollision, match='other/0/frame1.png'):
        find_images(['drives/1', 'other/0', 'drives/0'])


def test_results_inside_the_folder_are_no_input(drives):
    os.makedirs('drives/out/0')
    open('drives/out/0/frame1_mask.png', 'w').close()
    assert len(find_images(['drives'], 'drives/out')) == 3
    with pytest.raises(ValueError, match='choose another'):
        find_images(['drives/out'], 'drives/../drives/out')
    with pytest.raises(ValueError, match='would be replaced'):
        refuse_overwriting(['drives/1/../0/frame1.png'], ['drives/0/frame1.png'])


def test_two_results_of_one_name_are_refused():
    """An image and a video of one name have different overlays, but one file of class shares."""
    names = output_names(['a'], ['a'], ['overlay', 'json'], 'png')
    with pytest.raises(NameCollision, match='a_shares.json would be written for 2 inputs'):
        refuse_overwriting(names, [])
    refuse_overwriting(output_names(['a'], ['a'], ['overlay', 'masks'], 'png'), [])


def test_a_link_to_a_folder_above_ends(drives):
    os.symlink('..', 'drives/0/up')
    assert len(find_images(['drives'])) == 3


def seg_dataset(root):
    cfg = png_dataset(root, data_prefix=dict(img_path='img'), test_mode=True)
    return DATASETS.build(cfg)


def test_dataset_names_are_below_the_folder_of_images(tmp_path):
    for path in ('a/img/x.png', 'a/img/deep/x.png', 'b/img/x.png'):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    one = seg_dataset(tmp_path / 'a')
    names = {os.path.relpath(p, tmp_path): n for p, n in dataset_names(one).items()}
    assert names == {'a/img/x.png': 'x', 'a/img/deep/x.png': 'deep/x'}
    both = dataset_names(ConcatDataset([one, seg_dataset(tmp_path / 'b')]))
    assert sorted(both.values()) == ['a/img/deep/x', 'a/img/x', 'b/img/x']


def test_names_without_suffix_are_distinct():
    with pytest.raises(NameCollision):
        distinct_names([('x.jpg', 'x.jpg'), ('./x.png', 'x.png')])
