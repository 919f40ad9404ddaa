"""DySample, CARAFE, SAPA and FreqFusion as loops over pixels in float64."""

import numpy as np
import torch
from mmseg.registry import MODELS

# fine, coarse: two multiples, none, one of 8, one coarse pixel, one fine side that is the shorter
SIZES = [
    ((6, 10), (3, 5)),
    ((7, 9), (4, 5)),
    ((23, 30), (3, 4)),
    ((16, 24), (2, 3)),
    ((3, 4), (1, 1)),
    ((5, 2), (3, 4)),
]


ALIGNS = ['DySampleAlignment', 'CARAFEAlignment', 'SAPAAlignment', 'FreqFusionAlignment']


def pair(fine, coarse, channels=8, n=2, dtype=torch.float64):
    return torch.randn(n, channels, *fine, dtype=dtype), torch.randn(
        n, channels, *coarse, dtype=dtype
    )


def build(kind, scale=0.5, dtype=torch.float64, **kwargs):
    """A module whose weights are large enough that kernels and offsets are far from their start."""
    module = MODELS.build(dict(type=f'mmseg.{kind}', channels=8, **kwargs)).to(dtype)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=scale)
    return module


def array(x):
    return x.detach().double().numpy()


def bilinear(image, y, x):
    """Value of (H, W) at a point in pixels (centers at whole numbers), moved to the border."""
    height, width = image.shape
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    i, j = min(int(y), max(height - 2, 0)), min(int(x), max(width - 2, 0))
    below, right = min(i + 1, height - 1), min(j + 1, width - 1)
    dy, dx = y - i, x - j
    top = (1 - dx) * image[i, j] + dx * image[i, right]
    bottom = (1 - dx) * image[below, j] + dx * image[below, right]
    return (1 - dy) * top + dy * bottom


def resized(image, size):
    """(h, w) as (H, W), sampled at the centers of its pixels as areas."""
    ratio = [a / b for a, b in zip(image.shape, size)]
    return np.array(
        [
            [
                bilinear(image, (i + 0.5) * ratio[0] - 0.5, (j + 0.5) * ratio[1] - 0.5)
                for j in range(size[1])
            ]
            for i in range(size[0])
        ]
    )


def shuffled(x, s):
    """Pixel shuffle: (C * s * s, h, w) to (C, s * h, s * w)."""
    out = np.zeros((x.shape[0] // s**2, x.shape[1] * s, x.shape[2] * s))
    for c, i, j in np.ndindex(out.shape):
        out[c, i, j] = x[c * s * s + i % s * s + j % s, i // s, j // s]
    return out


def convolved(x, conv):
    """A convolution of stride 1 that keeps the size, as a loop over pixels."""
    weight, bias = array(conv.weight), array(conv.bias)
    r = weight.shape[-1] // 2
    padded = np.pad(x, ((0, 0), (r, r), (r, r)))
    out = np.zeros((len(weight), *x.shape[1:]))
    for i, j in np.ndindex(x.shape[1:]):
        window = padded[:, i : i + 2 * r + 1, j : j + 2 * r + 1]
        out[:, i, j] = np.tensordot(weight, window, 3) + bias
    return out


def softmax(x):
    x = np.exp(x - x.max())
    return x / x.sum()


def neighbors(x, size, i, j, k):
    """Values (k * k, C) around the coarse pixel that the center of fine pixel (i, j) lies in."""
    height, width = x.shape[1:]
    y, z = int((i + 0.5) * height / size[0]), int((j + 0.5) * width / size[1])
    return np.array(
        [
            x[:, a, b] if 0 <= a < height and 0 <= b < width else np.zeros(len(x))
            for a in range(y - k // 2, y + k // 2 + 1)
            for b in range(z - k // 2, z + k // 2 + 1)
        ]
    )


def dysample(module, low, high):
    s, g = module.scale_factor, module.groups
    raw = convolved(high, module.offset)
    if module.scope is None:
        raw = raw * 0.25
    else:
        raw = raw * 0.5 / (1 + np.exp(-convolved(high, module.scope)))
    size, (height, width) = low.shape[1:], high.shape[1:]
    offsets = np.array([resized(x, size) for x in shuffled(raw, s)]).reshape(2, g, *size)
    out = np.zeros(low.shape)
    for c, i, j in np.ndindex(out.shape):
        dx, dy = offsets[:, c // (len(low) // g), i, j]
        # centers of pixels lie at + 1/2
        x = (j + 0.5) * width / size[1] + dx
        y = (i + 0.5) * height / size[0] + dy
        out[c, i, j] = bilinear(high[c], y - 0.5, x - 0.5)
    return out


def carafe(module, low, high):
    k = 5
    logits = convolved(convolved(high, module.channel_compressor), module.content_encoder)
    size = low.shape[1:]
    logits = np.array([resized(x, size) for x in shuffled(logits, module.scale_factor)])
    out = np.zeros(low.shape)
    for i, j in np.ndindex(size):
        out[:, i, j] = softmax(logits[:, i, j]) @ neighbors(high, size, i, j, k)
    return out


def sapa(module, low, high):
    def embed(x, norm, linear):
        centered = x - x.mean(0)
        x = centered / np.sqrt((centered**2).mean(0) + 1e-5)
        x = x * array(norm.weight)[:, None, None] + array(norm.bias)[:, None, None]
        return np.tensordot(array(linear.weight), x, 1) + array(linear.bias)[:, None, None]

    query = embed(low, module.norm_fine, module.query)
    key = embed(high, module.norm_coarse, module.key)
    size = low.shape[1:]
    out = np.zeros(low.shape)
    for i, j in np.ndindex(size):
        similarity = neighbors(key, size, i, j, 5) @ query[:, i, j]
        out[:, i, j] = softmax(similarity) @ neighbors(high, size, i, j, 5)
    return out


def freqfusion(module, low, high):
    size, ratio = low.shape[1:], [a / b for a, b in zip(low.shape[1:], high.shape[1:])]

    def window(k):
        """A Hamming window: 0.54 - 0.46 cos."""
        side = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(k) / (k - 1))
        return np.outer(side, side).ravel()

    def filtered(x, logits):
        k = round(len(logits) ** 0.5)
        out = np.zeros((len(x), *size))
        for i, j in np.ndindex(size):
            weights = softmax(logits[:, i, j]) * window(k)
            out[:, i, j] = weights / weights.sum() @ neighbors(x, size, i, j, k)
        return out

    def lowpass(x):
        return convolved(x, module.lowpass.conv)

    def highpass(x):
        return convolved(x, module.highpass.conv)

    fine, coarse = convolved(low, module.compress_fine), convolved(high, module.compress_coarse)
    highpass_fine = highpass(fine)
    fine = 2 * fine - filtered(fine, highpass_fine)
    lowpass_fine = lowpass(fine)
    lowpass_both = lowpass_fine + filtered(lowpass(coarse), lowpass_fine)
    highpass_both = highpass_fine + filtered(highpass(coarse), lowpass_both)
    upsampled = filtered(high, lowpass_both)
    offsets = module.offsets
    if offsets is not None:
        fine, coarse = (
            with_similarity(grouped_norm(x, norm))
            for x, norm in ((fine, offsets.norm_fine), (coarse, offsets.norm_coarse))
        )

        def predicted(fine_conv, coarse_conv):
            of_coarse = shuffled(convolved(coarse, coarse_conv), 2)
            return convolved(fine, fine_conv) + np.array([resized(x, size) for x in of_coarse])

        scope = 1 / (1 + np.exp(-predicted(offsets.scope_fine, offsets.scope_coarse)))
        moves = scope * predicted(offsets.offset_fine, offsets.offset_coarse)
        moves = moves.reshape(2, -1, *size)
        source, per_group = upsampled, len(low) // moves.shape[1]
        upsampled = np.zeros(low.shape)
        for c, i, j in np.ndindex(upsampled.shape):
            dx, dy = moves[:, c // per_group, i, j]
            upsampled[c, i, j] = bilinear(source[c], i + dy * ratio[0], j + dx * ratio[1])
    return upsampled + low - filtered(low, highpass_both)


def grouped_norm(x, norm):
    parts = x.reshape(norm.num_groups, -1)
    parts = parts - parts.mean(1, keepdims=True)
    parts = parts / np.sqrt((parts**2).mean(1, keepdims=True) + 1e-5)
    weight, bias = (array(p)[:, None, None] for p in (norm.weight, norm.bias))
    return parts.reshape(x.shape) * weight + bias


def with_similarity(x):
    """Concatenate the cosines of each pixel and those two pixels away; a pixel outside gives 0."""
    out = np.zeros((8, *x.shape[1:]))
    places = [(a, b) for a in (-2, 0, 2) for b in (-2, 0, 2) if (a, b) != (0, 0)]
    for n, (a, b) in enumerate(places):
        for i, j in np.ndindex(x.shape[1:]):
            if 0 <= i + a < x.shape[1] and 0 <= j + b < x.shape[2]:
                one, other = x[:, i, j], x[:, i + a, j + b]
                out[n, i, j] = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
    return np.concatenate([x, out])


LOOPS = dict(
    DySampleAlignment=dysample,
    CARAFEAlignment=carafe,
    SAPAAlignment=sapa,
    FreqFusionAlignment=freqfusion,
)
