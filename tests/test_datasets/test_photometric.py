import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy.ndimage import gaussian_filter

from sfnet_mm.datasets import RandomColorJitter, RandomGaussianBlur
from sfnet_mm.datasets.transforms import photometric


@pytest.fixture
def image():
    rng = np.random.default_rng(0)
    noise = np.stack([gaussian_filter(rng.random((40, 50)), 2) for _ in range(3)], -1)
    noise = (noise - noise.min()) / (noise.max() - noise.min())
    return (noise * 255).astype(np.uint8)


def difference(bgr, pil):
    return np.abs(bgr[..., ::-1].astype(int) - np.asarray(pil)).max()


@pytest.mark.parametrize('factor', [0.75, 1.0, 1.25])
@pytest.mark.parametrize(
    'name, enhancer',
    [
        ('brightness', ImageEnhance.Brightness),
        ('contrast', ImageEnhance.Contrast),
        ('saturation', ImageEnhance.Color),
    ],
)
def test_operations_are_pillows(image, name, enhancer, factor):
    expected = enhancer(Image.fromarray(image[..., ::-1])).enhance(factor)
    assert difference(photometric.OPERATIONS[name](image, factor), expected) <= 2


@pytest.mark.parametrize('turns', [-0.25, -0.1, 0.0, 0.25])
def test_hue_turns_the_color_circle(image, turns):
    hsv = np.array(Image.fromarray(image[..., ::-1]).convert('HSV'))
    hsv[..., 0] = (hsv[..., 0].astype(int) + round(turns * 255)) % 256
    expected = Image.fromarray(hsv, 'HSV').convert('RGB')
    # Pillow stores hue in 255 steps and floors; OpenCV has 256 and rounds.
    assert (
        np.abs(
            photometric.adjust_hue(image, turns)[..., ::-1].astype(int) - np.asarray(expected)
        ).mean()
        < 3
    )


@pytest.mark.parametrize(
    'other', [lambda x: x.astype(np.float32), lambda x: x[..., 0], lambda x: x[..., [0, 1, 2, 0]]]
)
def test_image_that_has_no_colors_is_refused(image, other):
    with pytest.raises(ValueError, match=r'a.tif is .* expected uint8 \(H, W, 3\)'):
        RandomColorJitter()({'img': other(image), 'img_path': 'a.tif'})


def test_jitter_draws_all_orders_inside_the_ranges(image):
    np.random.seed(0)
    jitter = RandomColorJitter(0.2, 0.3, 0.4, 0.1)
    drawn = [jitter.draw() for _ in range(400)]
    assert len({tuple(name for name, _ in d) for d in drawn}) == 24
    for name, low, high in [
        ('brightness', 0.8, 1.2),
        ('contrast', 0.7, 1.3),
        ('saturation', 0.6, 1.4),
        ('hue', -0.1, 0.1),
    ]:
        values = [dict(d)[name] for d in drawn]
        assert low <= min(values) < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < max(values) <= high
    out = jitter(dict(img=image))['img']
    assert out.dtype == np.uint8 and out.shape == image.shape and (out != image).any()


def test_blur_is_a_gaussian_of_four_deviations_with_repeated_border(image):
    np.random.seed(3)
    for _ in range(5):
        blur = RandomGaussianBlur()
        state = np.random.get_state()
        sigma = blur.draw()
        np.random.set_state(state)
        assert 0.15 <= sigma <= 1.3
        expected = gaussian_filter(
            image.astype(np.float64), (sigma, sigma, 0), mode='nearest', truncate=4
        )
        assert np.abs(blur(dict(img=image.copy()))['img'] - expected).max() <= 1.5
    np.random.seed(0)
    rare = RandomGaussianBlur(prob=0.3)
    assert 0.2 < np.mean([rare.draw() > 0 for _ in range(500)]) < 0.4


def test_ranges_are_checked():
    with pytest.raises(ValueError, match='hue=0.7'):
        RandomColorJitter(hue=0.7)
    with pytest.raises(ValueError, match='sigma'):
        RandomGaussianBlur(sigma=(2, 1))
    with pytest.raises(ValueError, match='prob=2'):
        RandomGaussianBlur(prob=2)
