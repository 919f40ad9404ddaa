import numpy as np
import torch
from mmdet.registry import TASK_UTILS
from mmengine.structures import InstanceData


def test_value_against_loops():
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(3, 4, 5)), rng.random((2, 4, 5))
    expected = np.zeros((3, 2))
    for n in range(3):
        for m in range(2):
            for y in range(4):
                for x in range(5):
                    p, t = 1 / (1 + np.exp(-logits[n, y, x])), targets[m, y, x]
                    expected[n, m] -= 1.5 * (p * t + (1 - p) * (1 - t)) / 20
    cost = TASK_UTILS.build(dict(type='MaskCost', weight=1.5))(
        InstanceData(masks=torch.tensor(logits)), InstanceData(masks=torch.tensor(targets))
    )
    np.testing.assert_allclose(cost.numpy(), expected, rtol=1e-9)
