import numpy as np
import pytest
from uniform_streets import write


@pytest.fixture
def streets(tmp_path):
    """Sixty images whose classes are very unequal; the last class never occurs."""
    masks = []
    for i in range(60):
        mask = np.zeros((40, 64), np.uint8)
        mask[10:20] = 1
        mask[20:30, : 5 + i % 7] = 2
        if i % 5 == 0:
            mask[30:34, 8:12] = 3
        if i == 17:
            mask[36:38, 40:42] = 4
        masks.append(mask)
    return write(tmp_path / 'streets', masks)
