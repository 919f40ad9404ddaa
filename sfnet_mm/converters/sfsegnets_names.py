"""Names of the tensors in the authors' checkpoints (``SFSegNets``) and in this package."""

import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Backbone:
    """One backbone of the authors: its name, its config here and its maps for the two decoders."""

    title: str
    cfg: dict[str, Any]
    channels: tuple[int, ...]
    widths: dict[str, int]
    lite_index: tuple[int, ...] = (0, 2, 3)


def _resnet(depth: int, width: int, expansion: int) -> Backbone:
    channels = tuple(expansion * c for c in (64, 128, 256, 512))
    return Backbone(
        f'ResNet-{depth}',
        dict(type='SFResNet', depth=depth),
        channels,
        dict(sfnet=width, sfnet_lite=width),
    )


def _stdc(number: int) -> Backbone:
    return Backbone(
        f'STDC{number}',
        dict(type='STDCPyramid', stdc_type=f'STDCNet{number}'),
        (64, 256, 512, 1024),
        dict(sfnet=64, sfnet_lite=128),
    )


def _dfnet(arch: str) -> Backbone:
    return Backbone(
        arch,
        dict(type='DFNet', arch=arch),
        (128, 256, 512),
        dict(sfnet=64, sfnet_lite=64, dfseg=256),
        (0, 1, 2),
    )


BACKBONES = dict(
    r18=_resnet(18, 128, 1),
    r50=_resnet(50, 256, 4),
    r101=_resnet(101, 256, 4),
    stdc1=_stdc(1),
    stdc2=_stdc(2),
    df1=_dfnet('DF1'),
    df2=_dfnet('DF2'),
)

# These are the numbers of blocks of the stages of STDC after its two convolutions, and the places
# in this package of the blocks of DFNet's numbered stages.
STDC_BLOCKS = dict(stdc1=(2, 2, 2), stdc2=(4, 5, 3))
DFNET_STAGES = dict(
    df1=('stage2', 'stage3', 'stage4', 'stage5'),
    df2=('stage2_1', 'stage2_2', 'stage3_1', 'stage3_2', 'stage4_1', 'stage4_2'),
)

# The authors' forward never reads tensors with these names; the values say why.
UNUSED_STDC = {
    r'backbone\.(conv_last|fc|bn|linear)\.': 'ImageNet classifier',
    r'backbone\.x(2|4|8|16|32)\.0\.': 'second copy of backbone.features',
}
UNUSED_CLASSIFIER = {r'backbone\.fc\.': 'ImageNet classifier'}
UNUSED_LITE = {
    r'head\.dsn\.': 'deep supervision that SFNet-Lite builds and never calls',
    r'head\.fpn_in\.2\.': 'lateral that SFNet-Lite builds and never calls',
}

# The decoder of DF-Seg has no ``head.`` before its names.
DFSEG = r'(cc[345]|ppm|fn[34]|fc\.aux)\.'

# These prefixes of the authors' heads become those of this package; the rest of a name is kept.
HEAD = {
    r'head\.ppm\.stages\.(\d+)\.1\.': r'{fpn}ppm.stages.\1.1.conv.',
    r'head\.ppm\.stages\.(\d+)\.2\.': r'{fpn}ppm.stages.\1.1.bn.',
    r'head\.ppm\.bottleneck\.0\.': r'{fpn}ppm.bottleneck.conv.',
    r'head\.ppm\.bottleneck\.1\.': r'{fpn}ppm.bottleneck.bn.',
    r'head\.fpn_in\.(\d+)\.0\.': r'{fpn}fpn_in.\1.conv.',
    r'head\.fpn_in\.(\d+)\.1\.': r'{fpn}fpn_in.\1.bn.',
    r'head\.fpn_out\.(\d+)\.0\.0\.': r'{fpn}fpn_out.\1.conv.',
    r'head\.fpn_out\.(\d+)\.0\.1\.': r'{fpn}fpn_out.\1.bn.',
    r'head\.fpn_out_align\.': r'{fpn}fpn_out_align.',
    r'head\.flow_align_module\.flow_gate\.0\.': r'flow_align_module.flow_gate.',
    r'head\.flow_align_module\.': r'flow_align_module.',
    r'head\.conv_last\.0\.0\.': r'conv_last.conv.',
    r'head\.conv_last\.0\.1\.': r'conv_last.bn.',
    r'head\.conv_last\.1\.': r'conv_seg.',
    r'head\.(cc[345]|fn[34]\.fusion)\.': r'\1.',
    r'head\.fc\.aux\.0\.': r'conv_last.conv.',
    r'head\.fc\.aux\.1\.': r'conv_last.bn.',
    r'head\.fc\.aux\.4\.': r'conv_seg.',
    r'head\.dsn\.(\d+)\.0\.': r'dsn.\1.convs.0.conv.',
    r'head\.dsn\.(\d+)\.1\.': r'dsn.\1.convs.0.bn.',
    r'head\.dsn\.(\d+)\.4\.': r'dsn.\1.conv_seg.',
}
RESNET = {
    r'backbone\.layer0\.0\.|backbone\.conv1\.(?=\d)': 'stem.',
    r'backbone\.layer0\.1\.|backbone\.bn1\.': 'stem.7.',
    r'backbone\.layer([1-4])\.': r'layer\1.',
}


def backbone_names(backbone: str) -> dict[str, str]:
    """Map patterns of the authors' names of a backbone's tensors to names of this package."""
    if backbone in STDC_BLOCKS:
        names, number = {r'backbone\.features\.([01])\.': r'stages.\1.'}, 2
        for stage, blocks in enumerate(STDC_BLOCKS[backbone], start=2):
            for block in range(blocks):
                source, target = rf'backbone\.features\.{number}\.', f'stages.{stage}.{block}.'
                names[source + r'conv_list\.'] = target + 'layers.'
                names[source + r'avd_layer\.0\.'] = target + 'downsample.conv.'
                names[source + r'avd_layer\.1\.'] = target + 'downsample.bn.'
                number += 1
        return names
    if backbone in DFNET_STAGES:
        names = {}
        for i, (conv, norm) in enumerate([(0, 1), (3, 4)]):
            names[rf'backbone\.stage1\.{conv}\.'] = f'stem.{i}.conv.'
            names[rf'backbone\.stage1\.{norm}\.'] = f'stem.{i}.bn.'
        for i, stage in enumerate(DFNET_STAGES[backbone]):
            names[rf'backbone\.{stage}\.'] = f'layers.{i}.'
        return names
    return RESNET


def rename(key: str, names: dict[str, str]) -> str | None:
    """Return this package's name of a tensor; None if no pattern matches the start of ``key``."""
    for pattern, target in names.items():
        match = re.match(pattern, key)
        if match:
            return match.expand(target) + key[match.end() :]
    return None
