"""The backbones of the authors in the plainest form; see authors_reference."""

import torch
import torch.nn.functional as F
from torch import Tensor

BASIC, BOTTLENECK = (2, 2, 2, 2), {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
STDC = dict(stdc1=(2, 2, 2), stdc2=(4, 5, 3))
DF = dict(
    df1=[('stage2', 64, 3, 2), ('stage3', 128, 3, 2), ('stage4', 256, 3, 2), ('stage5', 512, 1, 1)],
    df2=[
        ('stage2_1', 64, 2, 2),
        ('stage2_2', 128, 1, 1),
        ('stage3_1', 128, 10, 2),
        ('stage3_2', 256, 1, 1),
        ('stage4_1', 256, 4, 2),
        ('stage4_2', 512, 2, 1),
    ],
)
DF_OUTPUTS = dict(df1=('stage3', 'stage4', 'stage5'), df2=('stage2_2', 'stage3_2', 'stage4_2'))


class AuthorsBackbone:
    """Draws parameters where they are first read, and computes the maps of ``self.backbone``."""

    backbone: str
    state: dict[str, Tensor]

    # ---- tensors ----

    def _get(self, key: str, shape: tuple[int, ...], mean: float, std: float) -> Tensor:
        if key not in self.state and self._declaring:
            noise = torch.randn(shape, generator=self._random)
            self.state[key] = (mean + std * noise).to(self.dtype)
        assert tuple(self.state[key].shape) == tuple(shape), key
        return self.state[key]

    def _conv(
        self,
        name: str,
        x: Tensor,
        out: int,
        kernel: int = 1,
        stride: int = 1,
        dilation: int = 1,
        bias: bool = False,
        groups: int = 1,
        gain: float = 1.0,
    ) -> Tensor:
        shape = (out, x.shape[1] // groups, kernel, kernel)
        weight = self._get(f'{name}.weight', shape, 0, gain * (2 / (shape[1] * kernel**2)) ** 0.5)
        offset = self._get(f'{name}.bias', (out,), 0, 0.3) if bias else None
        padding = dilation * (kernel // 2)
        return F.conv2d(x, weight, offset, stride, padding, dilation, groups)

    def _bn(self, name: str, x: Tensor, relu: bool = True) -> Tensor:
        shape = (x.shape[1],)
        weight = self._get(f'{name}.weight', shape, 0.9, 0.1)
        bias = self._get(f'{name}.bias', shape, 0, 0.2)
        mean = self._get(f'{name}.running_mean', shape, 0, 0.3)
        key = f'{name}.running_var'
        if self._declaring and key not in self.state:
            noise = torch.rand(shape, generator=self._random)
            self.state[key] = (0.5 + noise).to(self.dtype)
            self.state[f'{name}.num_batches_tracked'] = torch.tensor(7)
        x = F.batch_norm(x, mean, self.state[key], weight, bias, False, 0.0, 1e-5)
        return x.relu() if relu else x

    @staticmethod
    def _resize(x: Tensor, like: Tensor) -> Tensor:
        return F.interpolate(x, size=like.shape[2:], mode='bilinear', align_corners=True)

    @staticmethod
    def _warp(x: Tensor, flow: Tensor) -> Tensor:
        h, w = flow.shape[2:]
        y, x_ = torch.meshgrid(
            torch.linspace(-1, 1, h, dtype=x.dtype),
            torch.linspace(-1, 1, w, dtype=x.dtype),
            indexing='ij',
        )
        grid = torch.stack([x_ + flow[:, 0] / w, y + flow[:, 1] / h], -1)
        return F.grid_sample(x, grid, padding_mode='zeros', align_corners=True)

    # ---- backbones ----

    def _block(
        self,
        name: str,
        x: Tensor,
        out: int,
        stride: int,
        dilation: int = 1,
        bottleneck: bool = False,
    ) -> Tensor:
        """A residual block; what variant D dilates is the layer called ``conv2``."""
        width = out // 4 if bottleneck else out
        if bottleneck:
            y = self._bn(f'{name}.bn1', self._conv(f'{name}.conv1', x, width))
            y = self._conv(f'{name}.conv2', y, width, 3, stride, dilation)
            y = self._conv(f'{name}.conv3', self._bn(f'{name}.bn2', y), out)
            y = self._bn(f'{name}.bn3', y, relu=False)
        else:
            y = self._bn(f'{name}.bn1', self._conv(f'{name}.conv1', x, out, 3, stride))
            y = self._conv(f'{name}.conv2', y, out, 3, 1, dilation)
            y = self._bn(f'{name}.bn2', y, relu=False)
        if stride != 1 or x.shape[1] != out:
            x = self._conv(f'{name}.downsample.0', x, out, 1, stride)
            x = self._bn(f'{name}.downsample.1', x, relu=False)
        return (x + y).relu()

    def _resnet(self, x: Tensor) -> list[Tensor]:
        depth = int(self.backbone[1:])
        for i, (out, stride) in enumerate([(64, 2), (64, 1), (128, 1)]):
            x = self._conv(f'layer0.0.{3 * i}', x, out, 3, stride)
            x = self._bn(f'layer0.0.{3 * i + 1}' if i < 2 else 'layer0.1', x)
        x = F.max_pool2d(x, 3, 2, 1)
        outs = []
        for stage, blocks in enumerate(BOTTLENECK.get(depth, BASIC), start=1):
            out = 32 * 2**stage * (4 if depth > 18 else 1)
            for block in range(blocks):
                stride = 2 if stage > 1 and block == 0 else 1
                dilation = {3: 2, 4: 4}.get(stage, 1)
                x = self._block(f'layer{stage}.{block}', x, out, stride, dilation, depth > 18)
            outs.append(x)
        return outs

    def _dfnet(self, x: Tensor) -> list[Tensor]:
        for i, out in enumerate((32, 64)):
            x = self._conv(f'backbone.stage1.{3 * i}', x, out, 3, 2)
            x = self._bn(f'backbone.stage1.{3 * i + 1}', x)
        outs = []
        for stage, out, blocks, stride in DF[self.backbone]:
            for block in range(blocks):
                x = self._block(f'backbone.{stage}.{block}', x, out, stride if block == 0 else 1)
            if stage in DF_OUTPUTS[self.backbone]:
                outs.append(x)
        return outs

    def _stdc_conv(self, name: str, x: Tensor, out: int, kernel: int, stride: int = 1) -> Tensor:
        return self._bn(f'{name}.bn', self._conv(f'{name}.conv', x, out, kernel, stride))

    def _stdc(self, x: Tensor) -> list[Tensor]:
        x = self._stdc_conv('backbone.features.0', x, 32, 3, 2)
        x = self._stdc_conv('backbone.features.1', x, 64, 3, 2)
        outs, index = [x], 2
        for out, blocks in zip((256, 512, 1024), STDC[self.backbone]):
            for block in range(blocks):
                name = f'backbone.features.{index}'
                first = y = self._stdc_conv(f'{name}.conv_list.0', x, out // 2, 1)
                if block == 0:
                    y = self._conv(f'{name}.avd_layer.0', y, out // 2, 3, 2, groups=out // 2)
                    y = self._bn(f'{name}.avd_layer.1', y, relu=False)
                    first = F.avg_pool2d(first, 3, 2, 1)
                parts = [first]
                for i, divisor in enumerate((4, 8, 8), start=1):
                    y = self._stdc_conv(f'{name}.conv_list.{i}', y, out // divisor, 3)
                    parts.append(y)
                x = torch.cat(parts, 1)
                index += 1
            outs.append(x)
        return outs

    def features(self, x: Tensor) -> list[Tensor]:
        """Maps of the backbone, fine to coarse."""
        if self.backbone in STDC:
            return self._stdc(x)
        return self._dfnet(x) if self.backbone in DF else self._resnet(x)
