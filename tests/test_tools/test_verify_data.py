"""``verify_data.py`` counts images against the paper and finds the files that cannot be read."""

import json
import os.path as osp
import shutil

import numpy as np
import pytest
from helpers import ROOT, run_tool
from PIL import Image

from sfnet_mm.datasets import ensure_mini_uds, verification
from sfnet_mm.datasets.verification import PAPER_COUNTS, SourceFiles

TOOL = 'analysis_tools/verify_data'
NAMES = ('cityscapes', 'idd', 'mapillary', 'bdd')


def own_lines(capsys):
    """Lines of the tool, without those of loggers and of bars of progress."""
    starts = ('complete: ', 'INCOMPLETE: ', 'broken: ', '0 pairs', '1 pairs', '3 pairs')
    return [s for s in capsys.readouterr().out.splitlines() if s.startswith(starts)]


@pytest.fixture(scope='module')
def drawn(tmp_path_factory):
    return ensure_mini_uds(tmp_path_factory.mktemp('drawn') / 'uds', 2, 1, workers=0)


@pytest.fixture
def data(drawn, tmp_path):
    shutil.copytree(drawn, tmp_path / 'data')
    return tmp_path / 'data'


@pytest.fixture
def verify(data, tmp_path, capsys):
    """Runs the tool on UDS as distributed; gives 1 if something is wrong, and its lines."""
    config = tmp_path / 'uds.py'
    dataset = dict(type='UDSDataset', data_root=str(data), sources={n: n for n in NAMES})
    config.write_text(
        'model = dict(type="EncoderDecoder")\n'
        'sources = dict(cityscapes="cityscapes", idd="idd", mapillary="mapillary", bdd="bdd100k")\n'
        f'train_dataloader = dict(dataset=dict(type="ClassUniformDataset", dataset={dataset}))\n'
        f'val_dataloader = dict(dataset=dict({dataset}, split="val"))\n'
        'test_dataloader = val_dataloader\n'
    )

    def run(*options):
        state = ['--state', str(tmp_path / 'state/read.jsonl'), '--workers', '0']
        code = 0
        try:
            run_tool(TOOL, config, *state, *options)
        except SystemExit as e:
            if 'the lines above name them' not in str(e):
                raise
            code = 1
        return code, own_lines(capsys)

    return run


def test_numbers_are_those_of_the_last_row_of_table_2():
    for split, total in (('train', 34968), ('val', 6500)):
        counts = [PAPER_COUNTS[name, split] for name in NAMES]
        in_table = [n for count in counts for n, where in count.items() if where == 'Table 2']
        assert sum(in_table) == total and len(in_table) == 4


def test_every_source_and_split_is_counted_once(verify):
    code, lines = verify()
    assert code == 1
    table = dict(zip(NAMES, ((2975, 500), (6993, 3000), (18000, 2000), (7000, 1000))))
    assert len(lines) == 8
    for name, (train, val) in table.items():
        line = (
            f'INCOMPLETE: {name} train: 2 images of {train:,} (Table 2): {train - 2:,} are missing'
        )
        assert line in lines
        assert any(t.startswith(f'INCOMPLETE: {name} val: 1 images of {val:,} ') for t in lines)


def test_a_source_that_is_missing_does_not_hide_the_others(verify, data):
    shutil.rmtree(data / 'idd')
    shutil.rmtree(data / 'mapillary/validation')
    code, lines = verify()
    assert code == 1 and len(lines) == 8
    train, val = ([line for line in lines if f' {split}: ' in line] for split in ('train', 'val'))
    for split in (train, val):
        missing = next(line for line in split if ' idd ' in line)
        assert str(data / 'idd') in missing and 'does not exist' in missing
        assert '--cfg-options sources.idd=None' in missing
    assert 'mapillary train: 2 images' in ''.join(train)
    assert 'mapillary val: missing, 2,000 (Table 2): ' in ''.join(val)
    _, lines = verify('--cfg-options', 'train_dataloader.dataset.dataset.split=trainval')
    assert 'cityscapes trainval: 3 images' in lines[0] and 'idd trainval: missing' in lines[1]
    _, lines = verify('--cfg-options', 'sources.idd=None', 'sources.mapillary=None')
    assert [line.split()[1] for line in lines] == ['cityscapes', 'bdd'] * 2


def test_both_numbers_of_idd_are_right():
    def line(number):
        source = SourceFiles('idd', 'val', [{}] * number, expected=PAPER_COUNTS['idd', 'val'])
        return source.is_complete, str(source)

    assert line(981) == (True, 'idd val: 981 images as in section 4.1; but 3,000 in Table 2')
    assert line(3000)[0] and not line(980)[0]
    assert line(980)[1].endswith(': 1 are missing')
    assert line(3002)[1].endswith(': 2 are too many')


def test_mini_uds_is_complete_in_its_own_numbers(drawn, capsys):
    path = osp.join(ROOT, 'configs/sfnet_lite_stdc1_miniuds.py')
    options = [f'{loader}_dataloader.dataset.{key}={value}'
               for loader in ('train', 'val', 'test')
               for key, value in (('data_root', drawn), ('train', 2), ('val', 1))]  # fmt: skip
    run_tool(TOOL, path, '--cfg-options', *options)
    lines = own_lines(capsys)
    assert len(lines) == 8 and all(line.startswith('complete: ') for line in lines)


@pytest.fixture
def as_many(monkeypatch):
    """The paper has the numbers of the drawn images, so that only what is broken counts."""
    for (name, split), counts in PAPER_COUNTS.items():
        number = {'train': 2, 'val': 1}.get(split)
        monkeypatch.setitem(PAPER_COUNTS, (name, split), {number: 'a test'} if number else counts)


def one(data, pattern):
    return sorted(data.glob(pattern))[0]


def broken_of(lines):
    return [line for line in lines if line.startswith('broken: ')]


def test_decode_names_what_a_training_cannot_read(verify, data, as_many):
    code, lines = verify('--decode')
    assert code == 0 and not broken_of(lines)
    image = one(data, 'bdd/images/10k/train/*.jpg')
    image.write_bytes(image.read_bytes()[:-200])
    unknown = one(data, 'cityscapes/gtFine/train/**/*_labelIds.png')
    narrow = one(data, 'idd/gtFine/val/**/*_labelids.png')
    for path, change in ((unknown, lambda m: m + 100), (narrow, lambda m: m[:, 1:])):
        with Image.open(path) as mask:
            array = change(np.array(mask))
        Image.fromarray(array).save(path)
    code, lines = verify('--decode')
    assert code == 1
    found = broken_of(lines)
    assert len(found) == 3
    for path, text in ((image, 'truncated'), (unknown, 'holds the ids'), (narrow, 'pixels')):
        assert sum(str(path) in line and text in line for line in found) == 1


def test_decode_goes_on_where_it_stopped(verify, tmp_path, data, as_many, monkeypatch, capsys):
    read = []

    class Loader(verification.LoadImageWhole):
        def transform(self, results):
            if len(read) == 5 and stops:
                raise KeyboardInterrupt
            read.append(results['img_path'])
            return super().transform(results)

    monkeypatch.setattr(verification, 'LoadImageWhole', Loader)
    stops = True
    with pytest.raises(SystemExit, match='^130$'):
        verify('--decode')
    assert capsys.readouterr().err.endswith('stopped; the same command goes on from here\n')
    assert len(read) == 5
    # The process was killed while it wrote a line.
    with open(tmp_path / 'state/read.jsonl', 'a') as file:
        file.write('{"pair": "/x')
    stops = False
    code, lines = verify('--decode')
    assert code == 0 and len(read) == len(set(read)) == 12
    assert lines[-1].startswith('0 pairs') and 'had read 5 of' in lines[-1]
    # A file that has changed is read again, and what is broken is read until it is mended.
    image = one(data, 'mapillary/training/images/*.jpg')
    whole = image.read_bytes()
    for content, expected in ((whole[:-200], 1), (whole[:-200], 1), (whole, 0)):
        image.write_bytes(content)
        del read[:]
        assert verify('--decode')[0] == expected
        assert read == [str(image)]
    del read[:]
    assert verify('--decode')[0] == 0 and not read


def test_several_processes_write_whole_lines(verify, tmp_path, as_many):
    assert verify('--decode', '--workers', '2')[0] == 0
    lines = (tmp_path / 'state/read.jsonl').read_text().split('\n')
    assert len({json.loads(line)['pair'] for line in lines if line}) == 12
