"""K-Net written down a second time, plainly: float64, functions and loops, no class of a host.

After "K-Net: Towards Unified Image Segmentation" (https://arxiv.org/abs/2106.14855) and the names
and settings of its published weights. ``state`` maps those names to tensors.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F

GROUPS, HEADS = 32, 8


def conv_gn_relu(state, name, x, stride=1):
    weight = state[f'{name}.conv.weight']
    x = F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)
    return F.group_norm(x, GROUPS, state[f'{name}.gn.weight'], state[f'{name}.gn.bias']).relu()


def layer_norm(state, name, x):
    return F.layer_norm(x, x.shape[-1:], state[f'{name}.weight'], state[f'{name}.bias'])


def linear(state, name, x):
    return F.linear(x, state[f'{name}.weight'], state.get(f'{name}.bias'))


def normed_linear(state, norm, layer, x):
    return layer_norm(state, norm, linear(state, layer, x))


def double(x):
    return F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False)


def sine_encoding(channels, height, width):
    encoding = torch.zeros(channels, height, width, dtype=torch.float64)
    half = channels // 2
    for c in range(channels):
        i = c % half
        frequency = 10000 ** (2 * (i // 2) / half)
        for y in range(height):
            for x in range(width):
                place = (y + 1) / (height + 1e-6) if c < half else (x + 1) / (width + 1e-6)
                angle = place * 2 * math.pi / frequency
                encoding[c, y, x] = math.cos(angle) if i % 2 else math.sin(angle)
    return encoding


def group_features(masks, x):
    batch, kernels = masks.shape[:2]
    out = torch.zeros(batch, kernels, x.shape[1], dtype=torch.float64)
    for b in range(batch):
        for n in range(kernels):
            out[b, n] = x[b][:, masks[b, n].sigmoid() > 0.5].sum(dim=1)
    return out


def update_kernels(state, name, feature, kernel):
    a, b = linear(state, f'{name}.dynamic_layer', feature).chunk(2, dim=-1)
    p, q = linear(state, f'{name}.input_layer', kernel).chunk(2, dim=-1)
    gate = p * a
    update = normed_linear(state, f'{name}.norm_in', f'{name}.update_gate', gate).sigmoid()
    keep = normed_linear(state, f'{name}.input_norm_in', f'{name}.input_gate', gate).sigmoid()
    mixed = update * layer_norm(state, f'{name}.norm_out', b)
    mixed = mixed + keep * layer_norm(state, f'{name}.input_norm_out', q)
    return normed_linear(state, f'{name}.fc_norm', f'{name}.fc_layer', mixed).relu()


def self_attention(state, name, x):
    """``x`` (kernels, channels) of one image."""
    size = x.shape[1] // HEADS
    q, k, v = F.linear(x, state[f'{name}.in_proj_weight'], state[f'{name}.in_proj_bias']).chunk(
        3, dim=1
    )
    heads = []
    for h in range(HEADS):
        part = slice(h * size, (h + 1) * size)
        weights = (q[:, part] @ k[:, part].T / math.sqrt(size)).softmax(dim=1)
        heads.append(weights @ v[:, part])
    return x + linear(state, f'{name}.out_proj', torch.cat(heads, dim=1))


def stage(state, name, x, kernels, masks):
    x = F.conv2d(
        x, state[f'{name}.feat_transform.conv.weight'], state[f'{name}.feat_transform.conv.bias']
    )
    kernels = update_kernels(state, f'{name}.kernel_update_conv', group_features(masks, x), kernels)
    kernels = torch.stack([self_attention(state, f'{name}.attention.attn', k) for k in kernels])
    kernels = layer_norm(state, f'{name}.attention_norm', kernels)
    hidden = linear(state, f'{name}.ffn.layers.0.0', kernels).relu()
    kernels = layer_norm(
        state, f'{name}.ffn_norm', kernels + linear(state, f'{name}.ffn.layers.1', hidden)
    )
    branch = normed_linear(state, f'{name}.cls_fcs.1', f'{name}.cls_fcs.0', kernels).relu()
    classes = linear(state, f'{name}.fc_cls', branch)
    branch = normed_linear(state, f'{name}.mask_fcs.1', f'{name}.mask_fcs.0', kernels).relu()
    dynamic = linear(state, f'{name}.fc_mask', branch)
    masks = torch.stack(
        [F.conv2d(x[b : b + 1], dynamic[b][:, :, None, None])[0] for b in range(len(x))]
    )
    return classes, masks, kernels


def forward(state, levels, num_things, num_stages=3):
    """Class logits of the stages, mask logits (initial, stages) and dense logits, at stride 8."""
    levels = list(levels)
    levels[3] = levels[3] + sine_encoding(*levels[3].shape[1:])
    name = 'localization_fpn.convs_all_levels'
    maps = [
        conv_gn_relu(state, f'{name}.0.conv0', levels[0], stride=2),
        conv_gn_relu(state, f'{name}.1.conv0', levels[1]),
        conv_gn_relu(
            state, f'{name}.2.conv1', double(conv_gn_relu(state, f'{name}.2.conv0', levels[2]))
        ),
    ]
    top = double(conv_gn_relu(state, f'{name}.3.conv0', levels[3]))
    top = double(conv_gn_relu(state, f'{name}.3.conv1', top))
    maps.append(conv_gn_relu(state, f'{name}.3.conv2', top))
    fused = maps[0] + maps[1] + maps[2] + maps[3]
    loc = conv_gn_relu(
        state, 'loc_convs.0', conv_gn_relu(state, 'localization_fpn.conv_pred', fused)
    )
    sem = conv_gn_relu(
        state, 'seg_convs.0', conv_gn_relu(state, 'localization_fpn.aux_convs.0', fused)
    )
    first = F.conv2d(loc, state['init_kernels.weight'])
    seg = F.conv2d(sem, state['conv_seg.weight'], state['conv_seg.bias'])
    x = loc + sem
    kernels = state['init_kernels.weight'][:, :, 0, 0] + group_features(first, x)
    stuff = state['conv_seg.weight'][num_things:, :, 0, 0]
    kernels = torch.cat([kernels, stuff[None].repeat(len(x), 1, 1)], dim=1)
    current = torch.cat([first, seg[:, num_things:]], dim=1)
    classes, masks = [], [first]
    for s in range(num_stages):
        c, current, kernels = stage(state, f'mask_head.{s}', x, kernels, current)
        classes.append(c)
        masks.append(current)
    return classes, masks, seg


def panoptic_map(logits, probabilities, num_things, num_stuff, padded, tested, returned):
    """The published fusion with every mask at full size at once; ids of things start at 1."""
    scores = logits.double().sigmoid().numpy()
    num_proposals = len(scores) - num_stuff
    full = F.interpolate(probabilities[None].double(), padded, mode='bilinear', align_corners=False)
    full = full[:, :, : tested[0], : tested[1]]
    full = F.interpolate(full, returned, mode='bilinear', align_corners=False)[0].numpy()
    label = [int(scores[k, :num_things].argmax()) for k in range(num_proposals)]
    score = [scores[k, :num_things].max() for k in range(num_proposals)]
    label += list(range(num_things, num_things + num_stuff))
    score += [scores[num_proposals + j, num_things + j] for j in range(num_stuff)]
    owner = (np.array(score)[:, None, None] * full).argmax(axis=0)
    result = np.full(owner.shape, num_things + num_stuff)
    instance = 0
    for k in sorted(range(len(score)), key=lambda k: -score[k]):
        if label[k] < num_things and score[k] < 0.3:
            continue
        own, area = (owner == k).sum(), (full[k] >= 0.5).sum()
        if own == 0 or area == 0 or own / area < 0.6:
            continue
        if label[k] < num_things:
            instance += 1
            result[owner == k] = label[k] + 1000 * instance
        else:
            result[owner == k] = label[k]
    return result
