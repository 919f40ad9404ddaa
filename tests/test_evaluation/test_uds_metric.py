"""Per-source mIoU against confusion matrices in numpy."""

import numpy as np
import pytest
import torch

from sfnet_mm.evaluation import UDSMetric

CLASSES = ('a', 'b', 'c')


def make_samples(seed=0):
    rng = np.random.default_rng(seed)
    samples = []
    for i, source in enumerate(['idd', 'bdd', 'idd', 'bdd', 'idd']):
        label = rng.integers(0, 2 + i % 2, (5, 7))
        pred = np.where(rng.random((5, 7)) < 0.6, label, rng.integers(0, 2, (5, 7)))
        label[rng.random((5, 7)) < 0.1] = 255
        samples.append(
            {
                'source': source,
                'img_path': f'{i}.png',
                'gt_sem_seg': {'data': torch.from_numpy(label[None])},
                'pred_sem_seg': {'data': torch.from_numpy(pred[None])},
            }
        )
    return samples


def miou(samples):
    confusion = np.zeros((3, 3))
    for sample in samples:
        label = sample['gt_sem_seg']['data'].numpy().ravel()
        pred = sample['pred_sem_seg']['data'].numpy().ravel()
        for t, p in zip(label, pred):
            if t != 255:
                confusion[t, p] += 1
    ious = []
    for k in range(3):
        union = confusion[k].sum() + confusion[:, k].sum() - confusion[k, k]
        if union:
            ious.append(confusion[k, k] / union)
    return 100 * np.mean(ious)


def new_metric(**kwargs):
    metric = UDSMetric(**kwargs)
    metric.dataset_meta = {'classes': CLASSES}
    return metric


def test_all_and_per_source():
    samples = make_samples()
    metric = new_metric()
    metric.process({}, samples[:2])
    metric.process({}, samples[2:])
    values = metric.evaluate(size=len(samples))
    assert values['mIoU'] == pytest.approx(miou(samples), abs=0.01)
    for source in ('idd', 'bdd'):
        part = [sample for sample in samples if sample['source'] == source]
        assert values[f'mIoU/{source}'] == pytest.approx(miou(part), abs=0.01)
    assert 'mIoU/mapillary' not in values


def test_large_sums_are_exact():
    metric = new_metric()
    big = 2.0**24
    # The unit would be lost in float32 sums.
    areas = [torch.tensor([v, 0.0, 0.0]) for v in (big, big, big, big)]
    metric.intersect_and_union = lambda *args: areas
    sample = make_samples()[0]
    metric.process({}, [sample])
    areas = [torch.tensor([v, 0.0, 0.0]) for v in (1.0, 1.0, 1.0, 1.0)]
    metric.process({}, [sample])
    assert sum(r[1] for r in metric.results)[0].item() == big + 1


def test_source_must_be_packed():
    sample = make_samples()[0]
    del sample['source']
    with pytest.raises(KeyError, match='meta_keys'):
        new_metric().process({}, [sample])
