import subprocess
import sys
import textwrap

import knet_reference as reference
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample

NUM_THINGS, NUM_STUFF = 3, 2


def build(chunk=8, num_stuff=NUM_STUFF, **test_cfg):
    return MODELS.build(
        dict(
            type='KNetFusionHead',
            num_things_classes=NUM_THINGS,
            num_stuff_classes=num_stuff,
            kernels_per_chunk=chunk,
            test_cfg=test_cfg,
        )
    )


def make_sample(padded, tested, original):
    return DetDataSample(
        metainfo=dict(batch_input_shape=padded, img_shape=tested, ori_shape=original)
    )


def blobs(num_kernels, height, width, seed):
    """Soft discs that overlap, and class scores on both sides of 0.3."""
    generator = torch.Generator().manual_seed(seed)
    y, x, radius = torch.rand(3, num_kernels, 1, 1, generator=generator)
    rows, columns = torch.linspace(0, 1, height)[:, None], torch.linspace(0, 1, width)
    distance = ((rows - y) ** 2 + (columns - x) ** 2).sqrt()
    masks = (20 * (0.1 + 0.3 * radius - distance)).sigmoid()
    return masks, 2 * torch.randn(num_kernels, NUM_THINGS + NUM_STUFF, generator=generator)


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('chunk', [1, 4, 100])
def test_same_map_as_the_definition_in_any_chunks(seed, chunk):
    masks, logits = blobs(12, 24, 32, seed)
    shapes = (96, 128), (90, 121), (61, 80)
    result = build(chunk).predict(logits[None], masks[None], [make_sample(*shapes)])
    ours = result[0]['pan_results'].sem_seg[0].numpy()
    expected = reference.panoptic_map(logits, masks, NUM_THINGS, NUM_STUFF, *shapes)
    # Pixels where two kernels agree to float32 may go either way.
    assert ours.shape == (61, 80) and (ours != expected).mean() < 1e-3
    assert len(np.unique(ours)) > 2


def test_size_without_rescaling():
    masks, logits = blobs(12, 24, 32, 0)
    sample = make_sample((96, 128), (90, 121), (61, 80))
    result = build().predict(logits[None], masks[None], [sample], rescale=False)
    assert result[0]['pan_results'].sem_seg.shape == (1, 90, 121)


def one_hot_logits(classes, value=4.0, background=-9.0):
    logits = torch.full((len(classes), NUM_THINGS + NUM_STUFF), background)
    logits[range(len(classes)), classes] = value
    return logits


def stripes(num_kernels, size=40):
    masks = torch.full((num_kernels, size, size), 0.01)
    for k, rows in enumerate(torch.arange(size).chunk(num_kernels)):
        masks[k, rows] = 0.99
    return masks


def fuse(logits, masks, **test_cfg):
    shape = tuple(masks.shape[1:])
    sample = make_sample(shape, shape, shape)
    return build(**test_cfg).predict(logits[None], masks[None], [sample])[0]


def test_first_segment_of_class_0_is_no_void():
    # Counting from 0 would give the best thing of class 0 the value 0, which is void to PQ.
    logits, masks = one_hot_logits([0, 0, 1, 3, 4]), stripes(5)
    values = fuse(logits, masks)['pan_results'].sem_seg.unique().tolist()
    assert values == [3, 4, 1000, 2000, 3001]


def test_hidden_segments_stay_void():
    masks = stripes(4)
    # Kernel 1 claims the upper half, most of which the better kernel 0 takes.
    masks[0, :14] = 0.99
    masks[1] = 0.01
    masks[1, :20] = 0.9
    values = fuse(one_hot_logits([0, 1, 3, 4]), masks)['pan_results'].sem_seg[0, :, 0].tolist()
    assert [values[row] for row in (0, 13, 14, 19, 25, 39)] == [1000, 1000, 5, 5, 3, 4]


def test_weak_things_stay_void_and_weak_stuff_does_not():
    logits, masks = one_hot_logits([0, 1, 3, 4]), stripes(4)
    logits[0, 0] = logits[2, 3] = torch.logit(torch.tensor(0.29))
    values = fuse(logits, masks)['pan_results'].sem_seg[0, ::10, 0].tolist()
    assert values == [5, 1001, 3, 4]
    values = fuse(logits, masks, instance_score_thr=0.28)['pan_results'].sem_seg[0, ::10, 0]
    assert values.tolist() == [2000, 1001, 3, 4]


def test_nothing_found_is_all_void():
    result = fuse(one_hot_logits([0, 1, 3, 4], value=-9.0), torch.zeros(4, 16, 16))
    assert result['pan_results'].sem_seg.unique().tolist() == [5]


@pytest.mark.parametrize('num_stuff', [0, NUM_STUFF])
def test_instances(num_stuff):
    masks, logits = stripes(4), one_hot_logits([0, 2, 1, 4])[:, : NUM_THINGS + num_stuff]
    logits[0, 0] = 5
    shape = tuple(masks.shape[1:])
    head = build(chunk=3, num_stuff=num_stuff, panoptic_on=False, instance_on=True, max_per_image=2)
    result = head.predict(logits[None], masks[None], [make_sample(shape, shape, shape)])[0]
    assert set(result) == {'ins_results'}
    instances = result['ins_results']
    assert instances.labels.tolist()[0] == 0 and len(instances) == 2
    assert instances.scores.tolist() == pytest.approx([1 / (1 + np.exp(-5)), 1 / (1 + np.exp(-4))])
    assert torch.equal(instances.masks[0], masks[0] > 0.5)
    assert instances.bboxes[0].tolist() == [0, 0, 40, 10]


def test_impossible_chunk():
    with pytest.raises(ValueError, match='kernels_per_chunk=0'):
        build(chunk=0)


def test_memory_of_a_cityscapes_image():
    pytest.importorskip('resource')
    code = """
        import resource, torch, sfnet_mm.panoptic
        from mmdet.structures import DetDataSample
        torch.set_num_threads(1)
        size = (1024, 2048)
        generator = torch.Generator().manual_seed(0)
        masks = torch.rand(1, 111, 256, 512, generator=generator)
        logits = torch.randn(1, 111, 19, generator=generator)
        meta = dict(batch_input_shape=size, img_shape=size, ori_shape=size)
        head = sfnet_mm.panoptic.KNetFusionHead(8, 11, test_cfg={})
        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        before = peak()
        with torch.no_grad():
            result = head.predict(logits, masks, [DetDataSample(metainfo=meta)])
        print(f'PEAK {peak() - before:.2f} GB', tuple(result[0]['pan_results'].sem_seg.shape))
    """
    run = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', textwrap.dedent(code)],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    line = run.stdout[run.stdout.index('PEAK') :].split()
    print(*line)
    assert run.stdout.rstrip().endswith('(1, 1024, 2048)')
    # All masks at once, the probabilities and the products, would be 2 x 0.93 GB.
    assert float(line[1]) < 1.0
