"""A folder of images and masks as the pages expect it, drawn by the tests."""

import string

import numpy as np
from mmcv import imwrite

SIZE = (72, 96)  # height, width
# What the tests change in my_config.py: a few iterations on small crops.
SHORTER = [
    ('iters = 1000', 'iters = 4'),
    ('val_interval=100', 'val_interval=4'),
    ('interval=100', 'interval=4'),
    ('crop_size = (288, 384)', 'crop_size = (64, 96)'),
    ('scale=(480, 360)', 'scale=(96, 72)'),
    ('num_workers=2', 'num_workers=0, persistent_workers=False'),
]


def draw_pair(rng):
    """An image (H, W, 3) and its mask (H, W): a background, a green square, a red disk."""
    height, width = SIZE
    y, x = np.mgrid[:height, :width]
    top, left = rng.integers(4, height // 2), rng.integers(4, width // 2)
    mask = np.zeros(SIZE, np.uint8)
    mask[top : top + 30, left : left + 40] = 1
    disk = (y - rng.integers(20, 50)) ** 2 + (x - rng.integers(20, 70)) ** 2 < 200
    mask[disk] = 2
    mask[:3, :3] = 255
    image = np.array([(90, 90, 120), (40, 160, 50), (190, 40, 40)], np.uint8)[mask % 3]
    noise = rng.integers(-20, 20, image.shape)
    return np.clip(image.astype(int) + noise, 0, 255).astype(np.uint8), mask


def draw_folder(root, number=20):
    """``root/images`` and ``root/masks`` with so many pairs, a.jpg and a.png first."""
    rng = np.random.default_rng(0)
    for name in string.ascii_lowercase[:number]:
        image, mask = draw_pair(rng)
        imwrite(image[..., ::-1], root / 'images' / f'{name}.jpg')
        imwrite(mask, root / 'masks' / f'{name}.png')
