"""Boundary IoU against its definition, written as a loop over pixels and their neighbors."""

import pickle

import numpy as np
import pytest
import torch
from mmseg.registry import METRICS

from sfnet_mm.evaluation import BoundaryIoUMetric, UDSMetric

CLASSES = ('road', 'car', 'sky')
SIZE = (24, 32)  # a diagonal of 40 pixels


def boundary_of(labels, ignored, category, distance):
    """The set G_d of a class: its pixels with a pixel of no such class, or none, in reach."""
    height, width = labels.shape
    found = set()
    for y, x in zip(*np.nonzero(labels == category)):
        if ignored[y, x]:
            continue
        for v in range(y - distance, y + distance + 1):
            for u in range(x - distance, x + distance + 1):
                outside = not (0 <= v < height and 0 <= u < width)
                if outside or (labels[v, u] != category and not ignored[v, u]):
                    found.add((y, x))
    return found


def expected(samples, distance):
    """Boundary IoU by class, in percent."""
    inter, union = np.zeros(3), np.zeros(3)
    for sample in samples:
        label = sample['gt_sem_seg']['data'][0].numpy()
        pred = sample['pred_sem_seg']['data'][0].numpy()
        for k in range(3):
            g = boundary_of(label, label == 255, k, distance)
            p = boundary_of(pred, label == 255, k, distance)
            inter[k] += len(g & p)
            union[k] += len(g | p)
    return 100 * inter / np.where(union, union, np.nan)


def make_samples(count=4, classes=3, seed=0):
    """Blocks of classes, the prediction moved by some pixels; a block is ignored."""
    rng = np.random.default_rng(seed)
    samples = []
    for i in range(count):
        blocks = rng.integers(0, classes, (3, 4)).repeat(8, 0).repeat(8, 1)
        label, pred = blocks.copy(), np.roll(blocks, (i % 3, 2), (0, 1))
        label[5:12, 9:15] = 255
        samples.append(
            {
                'source': ('idd', 'bdd')[i % 2],
                'img_path': f'{i}.png',
                'gt_sem_seg': {'data': torch.from_numpy(label[None])},
                'pred_sem_seg': {'data': torch.from_numpy(pred[None])},
            }
        )
    return samples


def evaluate(samples, kind=BoundaryIoUMetric, **kwargs):
    metric = kind(**{'iou_metrics': ['mIoU', 'bIoU'], 'boundary_width': 0.05, **kwargs})
    metric.dataset_meta = {'classes': CLASSES}
    metric.process({}, samples[:1])
    metric.process({}, samples[1:])
    return metric.evaluate(len(samples)), metric


@pytest.mark.parametrize('width, distance', [(0.02, 1), (0.05, 2), (0.1, 4), (0.001, 1)])
def test_values_are_those_of_the_definition(width, distance):
    samples = make_samples()
    values, metric = evaluate(samples, boundary_width=width)
    wanted = expected(samples, distance)
    assert list(metric.per_class['bIoU'].values()) == pytest.approx(wanted, abs=0.006)
    assert values['bIoU'] == pytest.approx(wanted.mean(), abs=0.006)
    assert 0 < values['bIoU'] < values['mIoU']


def test_image_of_one_row():
    samples = make_samples()
    for sample in samples:
        for name in ('gt_sem_seg', 'pred_sem_seg'):
            sample[name]['data'] = sample[name]['data'][:, :1]
    wanted = expected(samples, 2)
    assert evaluate(samples)[0]['bIoU'] == pytest.approx(np.nanmean(wanted), abs=0.006)


def test_a_class_that_does_not_occur_is_left_out_of_the_mean():
    samples = make_samples(classes=2)
    values, metric = evaluate(samples)
    wanted = expected(samples, 2)
    assert np.isnan(wanted[2]) and np.isnan(metric.per_class['bIoU']['sky'])
    assert values['bIoU'] == pytest.approx(wanted[:2].mean(), abs=0.006)


def test_mistakes_far_from_contours_do_not_count():
    (sample,) = make_samples(1)
    label = np.zeros((1, *SIZE), np.int64)
    pred = label.copy()
    sample['gt_sem_seg']['data'] = torch.from_numpy(label)
    # Ignored pixels of whatever prediction neither count nor make a boundary.
    label[0, 8:16, 8:16] = 255
    pred[0, 9:15, 9:15] = 1
    sample['pred_sem_seg']['data'] = torch.from_numpy(pred)
    values, metric = evaluate([sample])
    assert values['bIoU'] == values['mIoU'] == 100
    assert np.isnan(metric.per_class['bIoU']['car'])


def test_values_by_source():
    samples = make_samples()
    values, _ = evaluate(samples, UDSMetric)
    assert values['bIoU'] == pytest.approx(expected(samples, 2).mean(), abs=0.006)
    for source in ('idd', 'bdd'):
        part = [s for s in samples if s['source'] == source]
        assert values[f'bIoU/{source}'] == pytest.approx(np.nanmean(expected(part, 2)), abs=0.006)


@pytest.mark.parametrize('kind', [BoundaryIoUMetric, UDSMetric])
def test_results_of_two_ranks_add_up(kind):
    samples = make_samples()
    single, metric = evaluate(samples, kind)
    ranks = [evaluate(samples[i::2], kind)[1] for i in range(2)]
    for i, rank in enumerate(ranks):
        rank.results.clear()
        rank.process({}, samples[i::2])
    # What mmengine's collect_results sends between processes.
    gathered = [item for rank in ranks for item in pickle.loads(pickle.dumps(rank.results))]
    assert metric.compute_metrics(gathered) == single


def test_alone_and_with_mmsegs_other_metrics():
    samples = make_samples()
    both, _ = evaluate(samples, iou_metrics=['mIoU', 'bIoU', 'mFscore'])
    alone, _ = evaluate(samples, UDSMetric, iou_metrics='bIoU')
    assert alone['bIoU'] == both['bIoU'] and 'mIoU' not in alone
    assert {'mIoU', 'mFscore', 'mRecall'} <= set(both)
    without, metric = evaluate(samples, iou_metrics=['mIoU'])
    assert without['mIoU'] == both['mIoU'] and 'bIoU' not in without
    assert set(metric.per_class) == {'IoU', 'Acc'}


def test_format_only_writes_masks_and_needs_no_labels(tmp_path):
    samples = make_samples()
    for sample in samples:
        del sample['gt_sem_seg']
    values, _ = evaluate(samples, format_only=True, output_dir=str(tmp_path))
    assert values == {} and len(list(tmp_path.glob('*.png'))) == len(samples)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r'boundary_width 2 must be between 0 and 1'):
        METRICS.build(dict(type='BoundaryIoUMetric', boundary_width=2))
