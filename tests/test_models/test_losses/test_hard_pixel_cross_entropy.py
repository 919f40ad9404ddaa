"""The loss against a loop over pixels in float64, written from the authors' definition."""

import json
import math

import numpy as np
import pytest
import torch

from sfnet_mm.models import HardPixelCrossEntropy

WEIGHTS = [0.5, 1.0, 2.0, 0.1, 3.0]  # of classes


def losses_of_pixels(scores, labels, ignore_index=255):
    """Cross-entropy and probability of the true class of every valid pixel, in float64."""
    scores = scores.detach().double().numpy()
    labels = labels.numpy()
    losses, probs, classes = [], [], []
    for n, y, x in np.ndindex(labels.shape):
        if labels[n, y, x] == ignore_index:
            continue
        logits = [float(s) for s in scores[n, :, y, x]]
        top = max(logits)
        log_sum = top + math.log(sum(math.exp(s - top) for s in logits))
        loss = log_sum - logits[labels[n, y, x]]
        losses.append(loss)
        probs.append(math.exp(-loss))
        classes.append(labels[n, y, x])
    return losses, probs, classes


def authors_loss(scores, labels, thresh, min_kept):
    """Mean over pixels of probability <= max(thresh, min_kept-th smallest); all if fewer valid."""
    losses, probs, _ = losses_of_pixels(scores, labels)
    if len(losses) >= min_kept:
        bound = thresh
        if min_kept > 0:
            bound = max(bound, sorted(probs)[min_kept - 1])
        losses = [loss for loss, prob in zip(losses, probs) if prob <= bound]
    return sum(losses) / len(losses)


def batch(scale, seed=0, ignored=0.2, size=(2, 5, 9, 11)):
    """Logits, the sharper the larger ``scale``, whose largest is mostly the true class."""
    generator = torch.Generator().manual_seed(seed)
    n, c, h, w = size
    scores = torch.randn(size, generator=generator)
    labels = torch.randint(0, c, (n, h, w), generator=generator)
    scores.scatter_add_(1, labels[:, None], torch.full((n, 1, h, w), 1.5))
    labels[torch.rand(n, h, w, generator=generator) < ignored] = 255
    return (scores * scale).requires_grad_(), labels


@pytest.mark.parametrize('scale', [0.3, 1.0, 4.0])
@pytest.mark.parametrize(
    'thresh, min_kept', [(0.7, 0), (0.7, 20), (0.7, 150), (0.7, 10**5), (0.2, 40), (1.0, 1)]
)
def test_equals_the_authors(scale, thresh, min_kept):
    scores, labels = batch(scale)
    loss = HardPixelCrossEntropy(thresh, min_kept)(scores, labels)
    expected = authors_loss(scores, labels, thresh, min_kept)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_both_sides_of_the_threshold_occur():
    """Some of the cases above keep by the threshold and some by the count, or they prove little."""
    probs = sorted(losses_of_pixels(*batch(1.0))[1])
    below = sum(p <= 0.7 for p in probs)
    assert 20 < below < 150 < len(probs)


def test_gradient_reaches_kept_pixels_only():
    scores, labels = batch(4.0)
    HardPixelCrossEntropy(0.7, 10)(scores, labels).backward()
    _, probs, _ = losses_of_pixels(scores, labels)
    valid = (labels != 255).numpy()
    touched = (scores.grad.abs().sum(1) > 0).numpy()
    assert not touched[~valid].any()
    np.testing.assert_array_equal(touched[valid], np.array(probs) <= 0.7)
    # The mean over the kept pixels: gradients of one pixel are (softmax - onehot) / kept.
    kept = touched.sum()
    one_hot = torch.nn.functional.one_hot(labels.where(labels != 255, 0), 5).permute(0, 3, 1, 2)
    expected = (scores.detach().softmax(1) - one_hot) / kept
    expected[~torch.from_numpy(touched)[:, None].expand_as(expected)] = 0
    torch.testing.assert_close(scores.grad, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize('ratio', [0.1, 0.5, 1.0])
def test_keep_ratio_takes_that_share_of_the_valid_pixels(ratio):
    scores, labels = batch(1.0)
    losses = sorted(losses_of_pixels(scores, labels)[0], reverse=True)
    hardest = losses[: math.ceil(ratio * len(losses))]
    loss = HardPixelCrossEntropy(keep_ratio=ratio)(scores, labels)
    assert loss.item() == pytest.approx(sum(hardest) / len(hardest), rel=1e-5)


def test_class_weights_weight_the_mean():
    scores, labels = batch(1.0)
    losses, probs, classes = losses_of_pixels(scores, labels)
    kept = [(WEIGHTS[c], loss) for loss, p, c in zip(losses, probs, classes) if p <= 0.7]
    expected = sum(w * loss for w, loss in kept) / sum(w for w, _ in kept)
    loss = HardPixelCrossEntropy(0.7, 1, class_weight=WEIGHTS, loss_weight=2.0)(scores, labels)
    assert loss.item() == pytest.approx(2 * expected, rel=1e-5)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
@pytest.mark.parametrize(
    'kwargs', [dict(), dict(min_kept=0), dict(keep_ratio=0.1), dict(class_weight=[1.0] * 5)]
)
def test_without_valid_pixels_the_loss_is_zero_and_trains_nothing(dtype, kwargs):
    # The sum of these logits is beyond float16, whose largest number is 65,504.
    scores = torch.full((1, 5, 64, 64), 8.0, dtype=dtype, requires_grad=True)
    label = torch.full((1, 64, 64), 255)
    loss = HardPixelCrossEntropy(**kwargs)(scores, label)
    loss.backward()
    assert loss.item() == 0 and torch.equal(scores.grad, torch.zeros_like(scores))


@pytest.mark.parametrize('pixel_weight', [None, 0.0])
def test_pixels_of_zero_weight_alone_give_zero_and_finite_gradients(pixel_weight):
    scores, labels = batch(1.0)
    labels = torch.zeros_like(labels)
    weight = None if pixel_weight is None else torch.full(labels.shape, pixel_weight)
    class_weight = [0.0, 1.0, 1.0, 1.0, 1.0] if pixel_weight is None else None
    loss = HardPixelCrossEntropy(class_weight=class_weight)(scores, labels, weight=weight)
    loss.backward()
    assert loss.item() == 0 and torch.equal(scores.grad, torch.zeros_like(scores))


@pytest.mark.parametrize('form', ['npy', 'json', 'yaml', 'array', 'tensor', 'tuple'])
def test_class_weight_from_a_file_or_an_array_is_that_of_a_list(form, tmp_path):
    path = str(tmp_path / f'weight.{form}')
    if form == 'npy':
        np.save(path, WEIGHTS)
    elif form in ('json', 'yaml'):
        (tmp_path / f'weight.{form}').write_text(json.dumps(WEIGHTS))
    else:
        path = dict(array=np.array, tensor=torch.tensor, tuple=tuple)[form](WEIGHTS)
    scores, labels = batch(1.0)
    losses, probs, classes = losses_of_pixels(scores, labels)
    expected = sum(WEIGHTS[c] * v for v, c in zip(losses, classes)) / sum(
        map(WEIGHTS.__getitem__, classes)
    )
    loss = HardPixelCrossEntropy(class_weight=path)(scores, labels)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_a_pickle_of_class_weights_is_refused_unread(tmp_path):
    (tmp_path / 'weight.pkl').write_bytes(
        b'cos\nmkdir\n(V' + str(tmp_path / 'ran').encode() + b'\ntR.'
    )
    with pytest.raises(ValueError, match=r'weight.pkl.* save it as .npy or .json'):
        HardPixelCrossEntropy(class_weight=str(tmp_path / 'weight.pkl'))
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('weights', [[], [1, -1], [float('nan')], [[1, 2]], ['a'], dict(a=1), 3.0])
def test_class_weights_that_are_none_are_refused(weights):
    with pytest.raises(ValueError, match='^HardPixelCrossEntropy: class_weight=[^\n]*$'):
        HardPixelCrossEntropy(class_weight=weights)


@pytest.mark.parametrize('length', [1, 4, 6])
def test_class_weight_of_another_length_is_refused(length):
    loss = HardPixelCrossEntropy(class_weight=[1.0] * length)
    with pytest.raises(ValueError, match=f'class_weight has {length} numbers.*num_classes=5'):
        loss(*batch(1.0))


@pytest.mark.parametrize('ignore_index, wrong', [(255, 5), (255, 34), (255, -1), (-100, 255)])
@pytest.mark.parametrize('device', ['cpu', pytest.param('cuda', marks=pytest.mark.gpu)])
def test_a_label_outside_the_classes_is_named(ignore_index, wrong, device):
    scores, labels = batch(1.0, ignored=0)
    labels[0, 0, 0] = wrong
    line = f'label holds {wrong}, but num_classes=5 .*train ids.*reduce_zero_label[^\n]*$'
    with pytest.raises(ValueError, match=line):
        HardPixelCrossEntropy()(scores.to(device), labels.to(device), ignore_index=ignore_index)
    # A device assertion would end every later use of the device.
    assert torch.ones(3, device=device).sum().item() == 3


def test_one_channel_of_scores_is_refused():
    with pytest.raises(ValueError, match='num_classes=1 .*use_sigmoid=True'):
        HardPixelCrossEntropy()(torch.zeros(1, 1, 4, 4), torch.zeros(1, 4, 4).long())


@pytest.mark.parametrize('kwargs', [dict(min_kept=5), dict(min_kept=0), dict(keep_ratio=0.1)])
@pytest.mark.parametrize('pixels', [1, 64])
def test_a_training_that_diverged_shows_nan(kwargs, pixels):
    score = torch.randn(1, 3, 8, 8)
    score.view(3, 64)[:, :pixels] = float('nan')
    assert HardPixelCrossEntropy(**kwargs)(score, torch.zeros(1, 8, 8, dtype=torch.long)).isnan()


def test_another_ignore_index():
    scores, labels = batch(1.0)
    expected = HardPixelCrossEntropy(min_kept=20)(scores, labels)
    labels = torch.where(labels == 255, -1, labels)
    assert HardPixelCrossEntropy(min_kept=20)(scores, labels, ignore_index=-1) == expected


def test_half_precision_logits_are_compared_in_float32():
    scores, labels = batch(4.0)
    half = scores.detach().bfloat16()
    loss = HardPixelCrossEntropy(0.7, 10)(half, labels)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(authors_loss(half, labels, 0.7, 10), rel=1e-5)


@pytest.mark.parametrize(
    'kwargs',
    [
        dict(thresh=0.0),
        dict(thresh=1.5),
        dict(min_kept=-1),
        dict(keep_ratio=0.0),
        dict(keep_ratio=2.0),
    ],
)
def test_bad_arguments_are_named(kwargs):
    ((name, value),) = kwargs.items()
    with pytest.raises(ValueError, match=f'{name}={value}'):
        HardPixelCrossEntropy(**kwargs)
