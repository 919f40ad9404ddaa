"""The matching and the losses of K-Net, plainly: see knet_reference."""

import itertools

import numpy as np
from knet_reference import double


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    """``-log(1 - sigmoid(x))``."""
    return np.logaddexp(0, x)


def match(logits, targets, labels, scores=None):
    """The cheapest one-to-one matching, by trying all of them: kernel of each target."""
    cost = np.zeros((len(logits), len(targets)))
    for n, logit in enumerate(logits):
        p = sigmoid(logit)
        for m, t in enumerate(targets):
            cost[n, m] += 4 * (
                1 - (2 * (p * t).sum() + 1e-3) / ((p * p).sum() + (t * t).sum() + 1e-3)
            )
            cost[n, m] -= ((p * t).sum() + ((1 - p) * (1 - t)).sum()) / t.size
            if scores is not None:
                logit_of_class = scores[n, labels[m]]
                s = sigmoid(logit_of_class)
                positive = 0.25 * (1 - s) ** 2 * softplus(-logit_of_class)
                negative = 0.75 * s**2 * softplus(logit_of_class)
                cost[n, m] += 2 * (positive - negative)
    best = min(
        itertools.permutations(range(len(logits)), len(targets)),
        key=lambda kernels: sum(cost[n, m] for m, n in enumerate(kernels)),
    )
    return list(best)


def focal_sum(logits, wanted, weights):
    """Sum of the sigmoid focal loss (gamma 2, alpha 0.25); ``wanted`` is 0 or 1."""
    p = sigmoid(logits)
    loss = np.where(
        wanted == 1, 0.25 * (1 - p) ** 2 * softplus(-logits), 0.75 * p**2 * softplus(logits)
    )
    return (loss * weights).sum()


def mask_losses(logits, positives, with_rank):
    """``logits`` (B, K, H, W); ``positives``: per image, (kernel, target) in order of kernels."""
    pairs = [(logits[b][k], t) for b, image in enumerate(positives) for k, t in image]
    if not pairs:
        return dict(mask=0.0, dice=0.0, **(dict(rank=0.0) if with_rank else {}))
    cross_entropy, dice = [], []
    for logit, t in pairs:
        p = sigmoid(logit)
        cross_entropy.append((t * softplus(-logit) + (1 - t) * softplus(logit)).mean())
        dice.append(1 - 2 * (p * t).sum() / ((p * p).sum() + 1e-3 + (t * t).sum() + 1e-3))
    losses = dict(mask=np.mean(cross_entropy), dice=4 * np.mean(dice))
    if with_rank:
        total = 0
        for b, image in enumerate(positives):
            for y in range(logits.shape[2]):
                for x in range(logits.shape[3]):
                    covering = [k for k, t in image if t[y, x] != 0]
                    if covering:
                        column = logits[b, :, y, x]
                        total += np.logaddexp.reduce(column) - column[covering[-1]]
        losses['rank'] = 0.1 * total / (len(logits) * logits.shape[2] * logits.shape[3])
    return losses


def losses(classes, masks, seg, segments, num_things, num_stuff):
    """The losses; ``segments``: per image, things and stuff as lists of (label, soft target)."""
    with_rank = num_stuff > 0
    num_classes = num_things + num_stuff
    masks = [double(m).numpy() for m in masks]
    seg = double(seg).numpy()
    classes = [c.numpy() for c in classes]
    num_proposals = masks[0].shape[1]
    result = {}

    def positives_of(kernels):
        images = []
        for image, (things, _) in zip(kernels, segments):
            images.append(sorted((k, *things[m]) for m, k in enumerate(image)))
        return images

    def match_all(logits, scores):
        return positives_of(
            [
                match(
                    logits[b][:num_proposals],
                    [t for _, t in things],
                    [label for label, _ in things],
                    None if scores is None else scores[b][:num_proposals],
                )
                for b, (things, _) in enumerate(segments)
            ]
        )

    def masks_only(positives):
        return [[(k, t) for k, _, t in image] for image in positives]

    positives = match_all(masks[0], None)
    for key, value in mask_losses(masks[0], masks_only(positives), with_rank).items():
        result[f'loss_rpn_{key}'] = value

    wanted = np.zeros(seg.shape)
    for b, (image, (_, stuff)) in enumerate(zip(positives, segments)):
        for label, t in [*stuff, *((label, t) for _, label, t in image)]:
            wanted[b][:, t != 0] = 0
            wanted[b, label][t != 0] = 1
    result['loss_rpn_seg'] = focal_sum(seg, wanted, 1) / max(wanted.sum(), 1)

    for s in range(len(classes)):
        if s > 0:
            positives = match_all(masks[s], classes[s - 1])
        both = [
            image + [(num_proposals + label - num_things, label, t) for label, t in stuff]
            for image, (_, stuff) in zip(positives, segments)
        ]
        for key, value in mask_losses(masks[s + 1], masks_only(both), with_rank).items():
            result[f's{s}_loss_{key}'] = value
        wanted, weights = np.zeros(classes[s].shape), np.zeros(classes[s].shape)
        weights[:, :num_proposals, :num_things] = 1
        for j in range(num_stuff):
            weights[:, num_proposals + j, num_things + j] = 1
        for b, image in enumerate(both):
            for k, label, _ in image:
                wanted[b, k, label] = 1
        assert wanted.shape[2] == num_classes
        result[f's{s}_loss_cls'] = 2 * focal_sum(classes[s], wanted, weights) / max(wanted.sum(), 1)
    return result
