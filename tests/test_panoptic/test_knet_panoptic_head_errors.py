import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.runner.checkpoint import load_state_dict
from panoptic_helpers import CHANNELS, HEIGHT, NUM_STUFF, NUM_THINGS, WIDTH, build_head, make_sample

from sfnet_mm.panoptic.knet_targets import read_segments


def test_too_many_kernels_for_the_rank_loss(head_cfg, levels, scene):
    with pytest.raises(ValueError, match='300.*302 kernels.*rank_ignore_index=-100'):
        MODELS.build(dict(head_cfg, num_proposals=300))
    head = build_head(dict(head_cfg, num_proposals=300, rank_ignore_index=-100))
    assert torch.isfinite(head.loss(levels, scene)['s2_loss_rank'])
    # 254 kernels are the most that leave 255 free; instances alone have no rank loss.
    MODELS.build(dict(head_cfg, num_proposals=254 - NUM_STUFF))
    MODELS.build(dict(head_cfg, num_proposals=300, num_stuff_classes=0))


@pytest.mark.parametrize('name', ['num_things_classes', 'num_proposals', 'num_stages'])
def test_impossible_sizes(head_cfg, name):
    with pytest.raises(ValueError, match=f'{name}=0'):
        MODELS.build(dict(head_cfg, **{name: 0}))


def test_ground_truth_that_does_not_fit(head_cfg, levels):
    head = build_head(head_cfg)
    for label in (3, -1):
        things = [(0, (9, 12, 0, 9)), (label, (0, 9, 0, 9))]
        with pytest.raises(ValueError, match=f'class {label}, but num_things_classes=3'):
            head.loss(levels, [make_sample(things, np.zeros((HEIGHT, WIDTH)))] * 2)
    for missing in ('masks', 'labels'):
        sample = make_sample([])
        delattr(sample.gt_instances, missing)
        with pytest.raises(ValueError, match='no instance masks or labels: load them'):
            head.loss(levels, [sample] * 2)
    with pytest.raises(ValueError, match='no semantic map for 2 stuff classes'):
        head.loss(levels, [make_sample([])] * 2)


def test_levels_that_do_not_fit(head_cfg, levels):
    head = build_head(head_cfg)
    with pytest.raises(ValueError, match='3 levels instead of the 4'):
        head(levels[:3])
    with pytest.raises(ValueError, match='pad_size_divisor=32'):
        head((*levels[:3], torch.zeros(2, CHANNELS, 3, 3)))


@pytest.mark.parametrize('foreign', ['decode_head.conv_seg.weight', 'rpn_head.init_kernels.weight'])
def test_weights_of_another_kind_of_model(head_cfg, levels, scene, foreign):
    model = torch.nn.Module()
    model.panoptic_head = build_head(head_cfg)
    foreign = {'backbone.conv1.weight': torch.zeros(1), foreign: torch.zeros(1)}
    load_state_dict(model, foreign)
    with pytest.raises(ValueError, match=r'nothing of panoptic_head.*semantic.*knet2mmdet.py'):
        model.panoptic_head.predict(levels, scene)
    # Training may start from such weights (of the backbone); what it makes may be tested.
    model.panoptic_head.loss(levels, scene)
    model.panoptic_head.predict(levels, scene)
    load_state_dict(model, foreign)
    load_state_dict(model, model.state_dict())
    model.panoptic_head.predict(levels, scene)


@pytest.mark.parametrize('option', ['pad_mask', 'pad_seg'])
def test_masks_that_are_not_padded_to_the_batch_are_refused(option):
    seg_map = np.full((HEIGHT, WIDTH), NUM_THINGS)
    sample = make_sample([(0, (0, 8, 0, 8))], seg_map, img_path='x.jpg')
    size = (HEIGHT // 4, WIDTH // 4)
    read_segments(sample, NUM_THINGS, NUM_STUFF, size, torch.device('cpu'))
    sample.set_metainfo(dict(batch_input_shape=(HEIGHT + 32, WIDTH)))
    if option == 'pad_seg':
        sample.gt_instances.masks = sample.gt_instances.masks.pad((HEIGHT + 32, WIDTH))
    line = f'x.jpg has {HEIGHT}x{WIDTH} .*{HEIGHT + 32}x{WIDTH}: set {option}=True[^\n]*$'
    with pytest.raises(ValueError, match=line):
        read_segments(sample, NUM_THINGS, NUM_STUFF, size, torch.device('cpu'))
