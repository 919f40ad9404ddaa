import mmcv
import numpy as np
import pytest
import torch

from sfnet_mm.ops import flow_warp
from sfnet_mm.visualization import (
    colour_key,
    draw_arrows,
    draw_sheet,
    flow_length,
    flow_to_pixels,
    flow_to_rgb,
    image_row,
)


def constant_flow(x, y, size=(4, 6)):
    return np.broadcast_to(np.float32([x, y]), (*size, 2)).copy()


def test_colors_are_those_of_the_host_at_the_hosts_scale():
    flow = np.random.default_rng(0).normal(size=(13, 17, 2)).astype(np.float32)
    longest = np.linalg.norm(flow, axis=-1).max()
    # just above, lest rounding make the longest vector one beyond the scale
    ours = flow_to_rgb(flow, max_length=longest * 1.00001).astype(float)
    np.testing.assert_allclose(ours, mmcv.flow2rgb(flow) * 255, atol=1.0)


@pytest.mark.parametrize(
    'vector, channel_order',
    # y points downwards: right is red, down is yellow, left is cyan, up is blue-violet
    [((1, 0), 'R'), ((0, 1), 'RG'), ((-1, 0), 'GB'), ((0, -1), 'B')],
)
def test_hue_is_direction(vector, channel_order):
    rgb = flow_to_rgb(constant_flow(*vector), max_length=1.0)[0, 0]
    strong = ''.join(c for c, value in zip('RGB', rgb) if value > 170)
    assert strong == channel_order


def test_length_is_saturation_on_a_given_scale():
    whole, half, none = (flow_to_rgb(constant_flow(x, 0), 2.0)[0, 0] for x in (2, 1, 0))
    assert none.tolist() == [255, 255, 255]
    assert whole.tolist() == [255, 0, 0]
    assert half[0] == 255 and abs(int(half[1]) - 128) <= 1
    beyond = flow_to_rgb(constant_flow(3, 0), 2.0)[0, 0]
    assert beyond[0] < whole[0]


def test_vectors_that_are_not_finite_are_black_and_do_not_set_the_scale():
    flow = constant_flow(1, 0)
    flow[0, 0] = np.nan
    flow[0, 1] = np.inf
    rgb = flow_to_rgb(flow)
    assert not rgb[0, :2].any() and rgb[2, 2].any()
    assert flow_length(flow) == pytest.approx(1.0)


def test_pixels_are_the_distance_at_which_the_warp_reads():
    height, width = 9, 15
    flow = torch.zeros(1, 2, height, width)
    flow[:, 0], flow[:, 1] = 3.0, -2.0
    columns = torch.arange(width).float().expand(1, 1, height, width).contiguous()
    rows = torch.arange(height).float()[:, None].expand(1, 1, height, width).contiguous()
    pixels = flow_to_pixels(flow[0].numpy())
    read_x = flow_warp(columns, flow)[0, 0, 4, 7].item()
    read_y = flow_warp(rows, flow)[0, 0, 4, 7].item()
    assert pixels[4, 7] == pytest.approx([read_x - 7, read_y - 4], abs=1e-4)


@pytest.mark.parametrize(
    'call',
    [
        lambda: flow_to_rgb(np.zeros((2, 4, 4))),
        lambda: flow_to_rgb(np.zeros((4, 4, 2)), max_length=0.0),
        lambda: flow_to_pixels(np.zeros((4, 4, 2))),
        lambda: draw_sheet('nothing', []),
    ],
)
def test_bad_arguments_are_refused(call):
    with pytest.raises(ValueError):
        call()


def test_arrows_point_along_the_flow_and_leave_the_picture_alone():
    blank = np.full((48, 48, 3), 255, np.uint8)
    drawn = draw_arrows(blank, constant_flow(1, 0, (48, 48)), max_length=1.0, step=48)
    ys, xs = np.nonzero((drawn < 128).all(axis=-1))
    assert (blank == 255).all()
    assert xs.min() >= 23 and xs.max() > 40 and abs(ys.mean() - 24) < 1
    still = draw_arrows(blank, constant_flow(0, 0, (48, 48)), max_length=1.0)
    assert (still == 255).all()


def test_key_is_white_in_the_middle_and_outside():
    key = colour_key(65)
    assert key[32, 32].tolist() == [255, 255, 255] and key[0, 0].tolist() == [255, 255, 255]
    assert key[32, 64].tolist() == [255, 0, 0]


@pytest.mark.parametrize('ignored', [255, 7])
def test_first_row_shows_label_prediction_and_the_share_of_errors(ignored):
    palette = [(10, 20, 30), (200, 100, 50)]
    label = np.zeros((8, 8), np.uint8)
    label[0] = ignored
    prediction = np.zeros((8, 8), np.int64)
    prediction[4:] = 1
    row = image_row(np.zeros((8, 8, 3), np.uint8), label, prediction, palette, ignored)
    captions, pictures = zip(*row)
    assert captions[-1] == f'errors: {32 / 56:.1%} of the pixels'
    assert pictures[1][1, 1].tolist() == [10, 20, 30]
    assert pictures[2][5, 5].tolist() == [200, 100, 50]
    wrong = pictures[3][5, 5].astype(int)
    assert wrong[0] > 2 * wrong[1]
    # An ignored pixel is never an error, whatever is predicted there.
    prediction[0] = 1
    assert image_row(pictures[0], label, prediction, palette, ignored)[3][0] == captions[-1]


def test_sheet_places_tiles_in_rows():
    red, blue = np.zeros((20, 40, 3), np.uint8), np.zeros((5, 10, 3), np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    sheet = draw_sheet('two', [[('a', red)], [('b', blue)]], tile_width=80, columns=2)
    ys, xs = np.nonzero((sheet == [255, 0, 0]).all(axis=-1))
    assert xs.max() - xs.min() + 1 == 80 and ys.max() - ys.min() + 1 >= 40
    below = np.nonzero((sheet == [0, 0, 255]).all(axis=-1))[0]
    assert (below > 0).sum() >= 80 * 40
    assert np.sort(below)[0] > ys[xs == xs.min()].max()
