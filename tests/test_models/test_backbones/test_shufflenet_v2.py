import pytest
import torch

from sfnet_mm.models import ShuffleNetV2
from sfnet_mm.models.backbones.shufflenet_v2 import channel_shuffle

# Parameters of the whole ImageNet classifiers as torchvision publishes them, and the channels of
# the last convolution, which belongs to the classifier.
PUBLISHED = {0.5: (1366792, 1024), 1.0: (2278604, 1024), 1.5: (3503624, 1024), 2.0: (7393996, 2048)}


@pytest.mark.parametrize('width', list(PUBLISHED))
def test_parameters_are_the_published_ones(width):
    total, last = PUBLISHED[width]
    model = ShuffleNetV2(width)
    channels = model.arch_settings[width][-1]
    classifier = channels * last + 2 * last + last * 1000 + 1000
    assert sum(p.numel() for p in model.parameters()) + classifier == total


def test_names_of_the_tensors():
    model = ShuffleNetV2(0.5)
    assert {
        'conv1.0.weight',
        'stage2.0.branch1.0.weight',
        'stage2.0.branch1.2.weight',
        'stage4.3.branch2.6.running_var',
    } <= set(model.state_dict())
    assert not any(k.startswith('stage2.1.branch1') for k in model.state_dict())
    with pytest.raises(ValueError, match='width=3'):
        ShuffleNetV2(3)


def test_shuffle_interleaves():
    x = torch.arange(6.0).reshape(1, 6, 1, 1)
    assert channel_shuffle(x).flatten().tolist() == [0, 3, 1, 4, 2, 5]
