"""What every backbone, neck and head must do, whatever it computes.

A module that is registered and has no entry in ``MODULES`` fails the first test.
"""

import pickle

import pytest
import torch
from mmseg.registry import MODELS

import sfnet_mm.models

# An odd image: no map is an exact half of the one before.
IMAGE, STRIDES = (33, 49), (4, 8, 16, 32)
SIZES = {stride: tuple(-(-side // stride) for side in IMAGE) for stride in STRIDES}
SIZES['8 x 4'] = tuple(8 * side for side in SIZES[4])
CHANNELS = [8, 16, 24, 32]  # of the maps that necks and heads get
HEAD = dict(channels=8, num_classes=5)

# Name -> config, and (channels, stride) of each output.
MODULES = {
    'BiAlignNet': (
        dict(type='BiAlignNet', context_path=dict(type='DFNet', arch='DF1')),
        [(128, 8), (512, 32)],
    ),
    'DFNet': (dict(type='DFNet'), [(128, 16), (256, 32), (512, 32)]),
    'EfficientNetLite': (dict(type='EfficientNetLite'), [(24, 4), (40, 8), (112, 16), (320, 32)]),
    'SFResNet': (
        dict(type='SFResNet', base_channels=8, stem_channels=8),
        [(8, 4), (16, 8), (32, 16), (64, 32)],
    ),
    'STDCPyramid': (
        dict(type='STDCPyramid', channels=(8, 8, 16, 24, 32)),
        [(8, 4), (16, 8), (24, 16), (32, 32)],
    ),
    'ShuffleNetV2': (dict(type='ShuffleNetV2', width=0.5), [(24, 4), (48, 8), (96, 16), (192, 32)]),
    'AlignedFPN': (
        dict(type='AlignedFPN', in_channels=CHANNELS, out_channels=8),
        [(8, 4), (8, 8), (8, 16), (8, 32)],
    ),
    'SFNetHead': (dict(HEAD, type='SFNetHead', in_channels=CHANNELS), [(5, 4)]),
    'SFNetHead without flow': (
        dict(HEAD, type='SFNetHead', in_channels=CHANNELS, align=None),
        [(5, 4)],
    ),
    'SFNetLiteHead': (
        dict(HEAD, type='SFNetLiteHead', in_channels=[8, 24, 32], in_index=[0, 2, 3]),
        [(5, 4)],
    ),
    'DFSegHead': (dict(HEAD, type='DFSegHead', in_channels=[8, 16, 24], width=8), [(5, 4)]),
    # Its pixel shuffle enlarges the finest map, of stride 4 here, eight times.
    'BiAlignHead': (dict(HEAD, type='BiAlignHead', in_channels=[8, 16], width=8), [(5, '8 x 4')]),
}


def build(name):
    module = MODELS.build(MODULES[name][0])
    # Logits of zero and a gate of one half would hide what a test looks for.
    for layer in module.modules():
        if isinstance(layer, torch.nn.Conv2d) and layer.weight.std() < 0.05:
            torch.nn.init.normal_(layer.weight, 0, 0.05)
    return module


def example(name, batch=2):
    """An image for a backbone, maps for a neck or a head."""
    if name in sfnet_mm.models.backbones.__all__:
        return torch.randn(batch, 3, *IMAGE)
    return [torch.randn(batch, c, *SIZES[s]) for c, s in zip(CHANNELS, STRIDES)]


def outputs(module, inputs):
    out = module(inputs)
    return [out] if isinstance(out, torch.Tensor) else list(out)


def assert_same(got, expected, tolerance=1e-4):
    """Equal, to a share of the largest value: another order of summation differs near zero."""
    assert len(got) == len(expected)
    for a, b in zip(got, expected):
        torch.testing.assert_close(a, b, rtol=0, atol=tolerance * b.abs().max().item())


def test_every_registered_module_is_checked():
    kinds = (sfnet_mm.models.backbones, sfnet_mm.models.necks, sfnet_mm.models.decode_heads)
    registered = {name for kind in kinds for name in kind.__all__ if MODELS.get(name)}
    assert registered == {config['type'] for config, _ in MODULES.values()}


@pytest.mark.parametrize('name', MODULES)
class TestModule:
    @torch.no_grad()
    def test_shapes_of_an_odd_image(self, name):
        module = build(name).eval()
        for batch in (1, 2):
            found = outputs(module, example(name, batch))
            assert [tuple(x.shape) for x in found] == [
                (batch, channels, *SIZES[stride]) for channels, stride in MODULES[name][1]
            ]
            assert all(x.isfinite().all() and x.std() > 0 for x in found)

    def test_every_parameter_gets_a_gradient(self, name):
        module = build(name).train()
        sum(x.square().mean() for x in outputs(module, example(name))).backward()
        missing = [n for n, p in module.named_parameters() if p.grad is None]
        assert not missing
        assert all(p.grad.isfinite().all() for p in module.parameters())

    @torch.no_grad()
    def test_autocast_to_bfloat16(self, name):
        module, inputs = build(name).eval(), example(name)
        expected = outputs(module, inputs)
        with torch.autocast('cpu', torch.bfloat16):
            found = outputs(module, inputs)
        for x, value in zip(found, expected):
            assert (x.float() - value).abs().max() < 0.1 * value.abs().max()
            assert x.dtype == torch.bfloat16

    @torch.no_grad()
    def test_channels_last(self, name):
        module, inputs = build(name).eval(), example(name)
        expected = outputs(module, inputs)
        layout = torch.channels_last
        moved = [x.to(memory_format=layout) for x in inputs] if isinstance(inputs, list) else None
        found = outputs(module.to(memory_format=layout), moved or inputs.to(memory_format=layout))
        assert_same(found, expected)
        if name != 'ShuffleNetV2':  # its shuffle of channels makes maps of the default layout
            assert all(x.is_contiguous(memory_format=layout) for x in found)

    @pytest.mark.slow
    @torch.no_grad()
    def test_compiles_to_one_graph(self, name):
        torch.compiler.reset()
        module, inputs = build(name).eval(), example(name)
        # ``fullgraph`` raises at any graph break; this backend needs no C++ compiler.
        compiled = torch.compile(module, fullgraph=True, backend='aot_eager')
        assert_same(outputs(compiled, inputs), outputs(module, inputs))

    @torch.no_grad()
    def test_exports(self, name):
        module, inputs = build(name).eval(), example(name)
        program = torch.export.export(module, (inputs,))
        assert_same(outputs(program.module(), inputs), outputs(module, inputs))

    @torch.no_grad()
    def test_state_dict_and_pickle_carry_the_weights(self, name):
        module, inputs = build(name).eval(), example(name)
        expected = outputs(module, inputs)
        again = build(name).eval()
        again.load_state_dict(module.state_dict(), strict=True)
        assert_same(outputs(again, inputs), expected, 0)
        assert_same(outputs(pickle.loads(pickle.dumps(module)), inputs), expected, 0)
