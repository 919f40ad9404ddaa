"""The authors' SFNet and SFNet-Lite, written a second time in the plainest form.

No class of this package or of its hosts is used: a model is a function over a dict of tensors under
the names that the authors' checkpoints have. Tests convert such a dict and compare the logits.

A parameter is drawn at random where the forward pass first reads it, so the forward pass is also
the table of names and shapes. What the authors store without using is added after it.
"""

import numpy as np
import torch
import torch.nn.functional as F
from authors_backbones import STDC, AuthorsBackbone
from torch import Tensor


class AuthorsModel(AuthorsBackbone):
    """One model of the authors: ``name`` is ``HEAD_BACKBONE`` with the heads below.

    ``sfnet``, ``sfnet-dsn`` (deep supervision), ``sfnet-lite`` (attention gate),
    ``sfnet-lite-conv`` (convolution gate), ``fpn-ppm`` (no flow), ``dfseg``; backbones r18, r50,
    r101, df1, df2, stdc1, stdc2.

    Args:
        name: As above, for example ``'sfnet-lite_stdc1'``.
        dtype: Dtype of the weights.
        num_classes: Number of classes of the classifier.
    """

    def __init__(
        self, name: str, dtype: torch.dtype = torch.float64, num_classes: int = 19
    ) -> None:
        self.head, self.backbone = name.split('_')
        self.num_classes = num_classes
        self.state: dict[str, Tensor] = {}
        self.dtype = dtype
        self._random = torch.Generator().manual_seed(0)
        self._declaring = True
        with torch.no_grad():
            self(torch.zeros(1, 3, 32, 32, dtype=dtype))
            self._add_unused()
        self._declaring = False

    def _ppm(self, x: Tensor, dim: int, name: str = 'head.ppm') -> Tensor:
        priors = []
        for i, size in enumerate((1, 2, 3, 6)):
            y = self._conv(f'{name}.stages.{i}.1', F.adaptive_avg_pool2d(x, size), dim)
            y = self._bn(f'{name}.stages.{i}.2', y, relu=False)
            priors.append(self._resize(y, x))
        x = self._conv(f'{name}.bottleneck.0', torch.cat([*priors, x], 1), dim)
        return self._bn(f'{name}.bottleneck.1', x)

    def _lateral(self, i: int, x: Tensor, dim: int) -> Tensor:
        return self._bn(f'head.fpn_in.{i}.1', self._conv(f'head.fpn_in.{i}.0', x, dim, bias=True))

    def _half(self, name: str, low: Tensor, high: Tensor, channels: int):
        """Projected fine map, projected and upsampled coarse map, and flow of ``channels``."""
        dim = low.shape[1]
        low_half = self._conv(f'{name}.down_l', low, dim // 2)
        high_half = self._resize(self._conv(f'{name}.down_h', high, dim // 2), low)
        # Strong enough to move by several pixels, or a wrong unit or axis would pass unseen.
        flow = self._conv(
            f'{name}.flow_make', torch.cat([high_half, low_half], 1), channels, 3, gain=2.0
        )
        return low_half, high_half, flow

    def _fam(self, name: str, low: Tensor, high: Tensor) -> Tensor:
        return self._warp(high, self._half(name, low, high, 2)[2])

    def _gdfam(self, name: str, low: Tensor, high: Tensor) -> Tensor:
        low_half, high_half, flow = self._half(name, low, high, 4)
        if self.head == 'sfnet-lite-conv':
            pooled = torch.cat([high_half, low_half], 1)
        else:
            pooled = torch.stack(
                [high_half.mean(1), low.mean(1), high_half.amax(1), low.amax(1)], 1
            )
        gate = self._conv(f'{name}.flow_gate.0', pooled, 1, 3).sigmoid()
        high, low = self._warp(high, flow[:, :2]), self._warp(low, flow[:, 2:])
        return high * gate + low * (1 - gate)

    def _classify(self, maps: list[Tensor], dim: int) -> Tensor:
        x = torch.cat([maps[0]] + [self._resize(m, maps[0]) for m in maps[1:]], 1)
        x = self._bn('head.conv_last.0.1', self._conv('head.conv_last.0.0', x, dim, 3))
        return self._conv('head.conv_last.1', x, self.num_classes, bias=True)

    def _supervise(self, name: str, x: Tensor) -> Tensor:
        y = self._bn(f'{name}.1', self._conv(f'{name}.0', x, x.shape[1], 3, bias=True))
        return self._conv(f'{name}.4', y, self.num_classes, bias=True)

    def _sfnet(self, maps: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        dim = 128 if self.backbone == 'r18' else 256 if self.backbone[0] == 'r' else 64
        f = self._ppm(maps[-1], dim)
        pyramid, supervised = [f], []
        for i in reversed(range(len(maps) - 1)):
            lateral = self._lateral(i, maps[i], dim)
            if self.head == 'fpn-ppm':
                f = lateral + self._resize(f, lateral)
            else:
                f = lateral + self._fam(f'head.fpn_out_align.{i}', lateral, f)
            out = self._conv(f'head.fpn_out.{i}.0.0', f, dim, 3)
            pyramid.insert(0, self._bn(f'head.fpn_out.{i}.0.1', out))
            if self.head == 'sfnet-dsn':
                supervised.insert(0, self._supervise(f'head.dsn.{i}', f))
        return self._classify(pyramid, dim), supervised

    def _lite(self, maps: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        context = self._ppm(maps[3], 128)
        fused = self._gdfam('head.flow_align_module', self._lateral(0, maps[0], 128), context)
        return self._classify([fused, self._lateral(1, maps[2], 128)], 128), []

    def _dfseg(self, maps: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        x = self._conv('cc5', self._ppm(maps[2], 128, 'ppm'), 128, bias=True)
        for name, fine in (('4', maps[1]), ('3', maps[0])):
            fine = self._conv(f'cc{name}', fine, 128, bias=True)
            pair = torch.cat([self._resize(x, fine), fine], 1)
            x = self._conv(f'fn{name}.fusion', pair, 128, 3)
        x = self._bn('fc.aux.1', self._conv('fc.aux.0', x, 256, 3, bias=True))
        return self._conv('fc.aux.4', x, self.num_classes, bias=True), []

    def __call__(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Logits of the classifier at its own size, and of the supervised levels, fine first."""
        maps = self.features(x)
        if self.head == 'dfseg':
            return self._dfseg(maps)
        return self._lite(maps) if 'lite' in self.head else self._sfnet(maps)

    def _add_unused(self) -> None:
        """Tensors that the checkpoints hold and the forward pass does not read."""
        if 'lite' in self.head:
            dummy = torch.zeros(1, 128, 1, 1, dtype=self.dtype)
            self._supervise('head.dsn', dummy)
            if self.backbone == 'r18':
                self._lateral(2, torch.zeros(1, 512, 1, 1, dtype=self.dtype), 128)
        if self.backbone in STDC:
            last = torch.zeros(1, 1024, 1, 1, dtype=self.dtype)
            self._stdc_conv('backbone.conv_last', last, 1024, 1)
            self._bn('backbone.bn', last)
            self._get('backbone.fc.weight', (1024, 1024), 0, 1)
            self._get('backbone.linear.weight', (1000, 1024), 0, 1)
            blocks = STDC[self.backbone]
            names = ['x2', 'x4'] + [f'x{2 ** (3 + i)}' for i in range(3) for _ in range(blocks[i])]
            for key in [k for k in self.state if k.startswith('backbone.features.')]:
                _, _, index, rest = key.split('.', 3)
                self.state[f'backbone.{names[int(index)]}.0.{index}.{rest}'] = self.state[key]

    def checkpoint(self) -> dict:
        """As the authors' training script saves it."""
        return dict(
            state_dict={f'module.{k}': v for k, v in self.state.items()},
            epoch=3,
            mean_iu=np.float64(0.5),
        )
