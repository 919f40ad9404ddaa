import math

import pytest
from mmdet.registry import METRICS

evaluation = pytest.importorskip('panopticapi.evaluation')


def statistics():
    """Two segments of class 0: one matched with IoU 0.8, one missed."""
    found = evaluation.PQStat()
    found[0].tp, found[0].fn, found[0].iou = 1, 1, 0.8
    return found


@pytest.mark.parametrize('things, absent', [(('car',), 'st'), ((), 'th')])
def test_data_without_things_or_without_stuff_has_a_pq(things, absent):
    metric = METRICS.build(dict(type='CocoPanopticMetric', seg_prefix='unused'))
    metric.dataset_meta = dict(classes=('car',), thing_classes=things)
    scores = metric.compute_metrics([statistics()])
    present = {'st': 'th', 'th': 'st'}[absent]
    # PQ = IoU / (TP + FP / 2 + FN / 2)
    assert scores['PQ'] == scores[f'PQ_{present}'] == pytest.approx(100 * 0.8 / 1.5)
    assert scores['RQ'] == pytest.approx(100 / 1.5) and scores['SQ'] == pytest.approx(80)
    assert all(math.isnan(scores[f'{name}_{absent}']) for name in ('PQ', 'SQ', 'RQ'))


def test_classes_of_which_none_occurs_score_nothing_and_fail_nothing():
    categories = {3: dict(isthing=1), 4: dict(isthing=0)}
    mean, classes = evaluation.PQStat().pq_average(categories, isthing=True)
    assert math.isnan(mean['pq']) and mean['n'] == 0
    assert classes == {3: dict(pq=0.0, sq=0.0, rq=0.0)}
