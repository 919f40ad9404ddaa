import knet_reference as reference
import knet_reference_losses as losses_reference
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from panoptic_helpers import (
    HEIGHT,
    NUM_PROPOSALS,
    NUM_STUFF,
    NUM_THINGS,
    WIDTH,
    build_head,
    make_sample,
)

LOSSES = {f'loss_rpn_{name}' for name in ('mask', 'dice', 'rank', 'seg')}
LOSSES |= {f's{s}_loss_{name}' for s in range(3) for name in ('mask', 'dice', 'rank', 'cls')}


def soft_targets(sample):
    """Segments of a sample from its arrays: (label, bilinear quarter-size mask)."""

    def shrink(mask):
        mask = torch.as_tensor(mask, dtype=torch.float64)[None, None]
        size = (HEIGHT // 4, WIDTH // 4)
        return F.interpolate(mask, size, mode='bilinear', align_corners=False)[0, 0].numpy()

    instances = sample.gt_instances
    things = [(int(c), shrink(m)) for c, m in zip(instances.labels, instances.masks.masks)]
    stuff = []
    if 'gt_sem_seg' in sample:
        seg_map = sample.gt_sem_seg.sem_seg[0].numpy()
        for c in range(NUM_THINGS, NUM_THINGS + NUM_STUFF):
            if (seg_map == c).any():
                stuff.append((c, shrink(seg_map == c)))
    return things, stuff


def reference_outputs(head, levels):
    state = {name: tensor.double() for name, tensor in head.state_dict().items()}
    with torch.no_grad():
        return reference.forward(state, [x.double() for x in levels], NUM_THINGS)


def check_losses(head, levels, scene, num_stuff=NUM_STUFF):
    """Compare the losses with those of the definition, which are returned."""
    with torch.no_grad():
        losses = head.loss(levels, scene)
    segments = [soft_targets(sample) for sample in scene]
    outputs = reference_outputs(head, levels)
    expected = losses_reference.losses(*outputs, segments, NUM_THINGS, num_stuff)
    assert set(losses) == set(expected)
    for key, value in expected.items():
        assert losses[key].item() == pytest.approx(value, rel=1e-4, abs=1e-4), key
    return expected


def test_losses_and_logits_are_those_of_the_definition(head_cfg, levels, scene):
    head = build_head(head_cfg)
    classes, masks, seg = reference_outputs(head, levels)
    with torch.no_grad():
        outputs = head(levels)
    for ours, expected in zip(
        [*outputs.cls_scores, *outputs.masks, outputs.seg], [*classes, *masks, seg]
    ):
        torch.testing.assert_close(ours.double(), expected, rtol=1e-4, atol=2e-4)
    expected = check_losses(head, levels, scene)
    assert set(expected) == LOSSES
    # The matching matters in this scene: it is not the same in every stage.
    assert len({round(v, 6) for k, v in expected.items() if 'mask' in k}) == 4


def test_instances_only(head_cfg, levels, scene):
    head = build_head(dict(head_cfg, num_stuff_classes=0))
    for sample in scene:
        del sample.gt_sem_seg
    expected = check_losses(head, levels, scene, num_stuff=0)
    assert set(expected) == {key for key in LOSSES if 'rank' not in key}


@pytest.mark.parametrize('things, stuff', [(False, True), (True, False), (False, False)])
def test_images_without_things_stuff_or_anything(head_cfg, levels, things, stuff):
    boxes = [(1, (0, 20, 0, 20))] if things else []
    seg_map = np.full((HEIGHT, WIDTH), 3 if stuff else 255)
    sample = make_sample(boxes, seg_map)
    head = build_head(head_cfg)
    losses = head.loss(levels, [sample, sample])
    sum(losses.values()).backward()
    assert all(torch.isfinite(value) for value in losses.values())
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in head.parameters())
    if not things:
        assert losses['loss_rpn_mask'] == losses['loss_rpn_dice'] == losses['loss_rpn_rank'] == 0
    if not (things or stuff):
        assert losses['s2_loss_mask'] == 0
    # Wrong classes are still pushed down.
    assert losses['s2_loss_cls'] > 0 and losses['loss_rpn_seg'] > 0


def test_more_things_than_kernels(head_cfg, levels):
    boxes = [(i % 3, (0, 20, 8 * i, 8 * i + 8)) for i in range(NUM_PROPOSALS + 3)]
    sample = make_sample(boxes, np.full((HEIGHT, WIDTH), 3))
    losses = build_head(head_cfg).loss(levels, [sample, sample])
    assert all(torch.isfinite(value) for value in losses.values())


def test_names_and_sizes_are_those_of_the_published_weights():
    head = MODELS.build(dict(type='KNetPanopticHead', num_things_classes=80, num_stuff_classes=53))
    sizes = {name: tuple(tensor.shape) for name, tensor in head.state_dict().items()}
    expected = {
        'init_kernels.weight': (100, 256, 1, 1),
        'conv_seg.weight': (133, 256, 1, 1),
        'conv_seg.bias': (133,),
    }

    def add_norm(name):
        expected.update({f'{name}.weight': (256,), f'{name}.bias': (256,)})

    for level, count in enumerate((1, 1, 2, 3)):
        for i in range(count):
            name = f'localization_fpn.convs_all_levels.{level}.conv{i}'
            expected[f'{name}.conv.weight'] = (256, 256, 3, 3)
            add_norm(f'{name}.gn')
    for name in (
        'localization_fpn.conv_pred',
        'localization_fpn.aux_convs.0',
        'loc_convs.0',
        'seg_convs.0',
    ):
        expected[f'{name}.conv.weight'] = (256, 256, 1, 1)
        add_norm(f'{name}.gn')
    for s in range(3):
        name = f'mask_head.{s}'
        for layer, out, into in (
            ('attention.attn.out_proj', 256, 256),
            ('kernel_update_conv.dynamic_layer', 512, 256),
            ('kernel_update_conv.input_layer', 512, 256),
            ('kernel_update_conv.input_gate', 256, 256),
            ('kernel_update_conv.update_gate', 256, 256),
            ('kernel_update_conv.fc_layer', 256, 256),
            ('ffn.layers.0.0', 2048, 256),
            ('ffn.layers.1', 256, 2048),
            ('fc_cls', 133, 256),
            ('fc_mask', 256, 256),
        ):
            expected[f'{name}.{layer}.weight'] = (out, into)
            expected[f'{name}.{layer}.bias'] = (out,)
        expected[f'{name}.attention.attn.in_proj_weight'] = (768, 256)
        expected[f'{name}.attention.attn.in_proj_bias'] = (768,)
        expected[f'{name}.feat_transform.conv.weight'] = (256, 256, 1, 1)
        expected[f'{name}.feat_transform.conv.bias'] = (256,)
        expected[f'{name}.cls_fcs.0.weight'] = expected[f'{name}.mask_fcs.0.weight'] = (256, 256)
        for norm in (
            'attention_norm',
            'ffn_norm',
            'cls_fcs.1',
            'mask_fcs.1',
            'kernel_update_conv.norm_in',
            'kernel_update_conv.norm_out',
            'kernel_update_conv.input_norm_in',
            'kernel_update_conv.input_norm_out',
            'kernel_update_conv.fc_norm',
        ):
            add_norm(f'{name}.{norm}')
    assert sizes == expected
    count = sum(p.numel() for p in head.mask_head.parameters())
    assert round(count / 1e6, 3) == 6.228
    assert round((sum(p.numel() for p in head.parameters()) - count) / 1e6, 3) == 4.456


def test_initialization(head_cfg):
    torch.manual_seed(0)
    head = MODELS.build(dict(head_cfg, in_channels=256, num_proposals=50))
    head.init_weights()
    assert head.init_kernels.weight.std().item() == pytest.approx(1, abs=0.05)
    assert head.localization_fpn.conv_pred.conv.weight.std().item() == pytest.approx(
        0.01, abs=0.001
    )
    assert head.conv_seg.weight.std().item() == pytest.approx(0.01, abs=0.002)
    for bias in (head.conv_seg.bias, head.mask_head[2].fc_cls.bias):
        assert torch.sigmoid(bias).tolist() == pytest.approx([0.01] * len(bias), abs=1e-6)
    # Xavier: uniform in +-sqrt(6 / (in + out)).
    assert head.mask_head[1].fc_mask.weight.abs().max().item() == pytest.approx(
        (6 / 512) ** 0.5, rel=0.01
    )


def test_bfloat16_autocast_trains(head_cfg, levels, scene):
    head = build_head(head_cfg)
    plain = head.loss(levels, scene)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = head.loss(levels, scene)
    assert all(torch.isfinite(value) for value in losses.values())
    assert losses['s0_loss_cls'].item() == pytest.approx(plain['s0_loss_cls'].item(), rel=0.1)


@pytest.mark.gpu
def test_losses_on_the_device_are_those_of_the_cpu(head_cfg, levels, scene, gpu_device):
    head = build_head(head_cfg)
    with torch.no_grad():
        expected = head.loss(levels, scene)
        losses = head.to(gpu_device).loss(
            [x.to(gpu_device) for x in levels], [s.to(gpu_device) for s in scene]
        )
    assert set(losses) == LOSSES
    for key, value in expected.items():
        assert losses[key].device.type == gpu_device.type, key
        assert losses[key].item() == pytest.approx(value.item(), rel=1e-2, abs=1e-3), key


@pytest.mark.gpu
def test_trains_on_the_device(head_cfg, levels, scene, gpu_device):
    head = build_head(head_cfg).to(gpu_device).train()
    losses = head.loss([x.to(gpu_device) for x in levels], [s.to(gpu_device) for s in scene])
    sum(losses.values()).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
