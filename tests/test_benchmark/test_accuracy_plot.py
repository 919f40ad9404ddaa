import itertools

import pytest

from sfnet_mm.benchmark import accuracy_plot
from sfnet_mm.benchmark.peers import PEERS, published

plt = pytest.importorskip('matplotlib.pyplot')
HEADER = {'size': '64x128', 'device': 'CPU'}


def entry(name, fps, backend='native'):
    return dict(name=name, backend=backend, fps=fps, milliseconds=[1000 / fps])


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """The panels of a plot, as they were when it was saved."""
    kept = []
    monkeypatch.setattr(plt, 'close', kept.append)

    def draw(entries):
        assert accuracy_plot.plot(str(tmp_path / 'plot.png'), HEADER, entries)
        assert [p.name for p in tmp_path.iterdir()] == ['plot.png']
        return kept[-1].axes

    yield draw
    monkeypatch.undo()
    plt.close('all')


def test_labels_of_neighbors_are_apart_and_inside(drawn):
    panels = drawn([entry(name, 1 + 0.1 * i) for i, name in enumerate(PEERS)])
    assert sum(len(axes.texts) for axes in panels) == len(PEERS)
    for axes in panels:
        boxes = [t.get_window_extent() for t in axes.texts]
        assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
        frame = axes.get_window_extent()
        assert all(frame.x0 <= b.x0 and b.x1 <= frame.x1 for b in boxes)


def test_test_and_val_are_never_on_one_axis(drawn):
    panels = drawn([entry('DDRNet-23', 2), entry('DDRNet-23-slim', 4), entry('Fast-SCNN', 9)])
    shown = {axes.get_ylabel(): {t.get_text() for t in axes.texts} for axes in panels}
    assert shown == {
        'published mIoU on Cityscapes test, %': {'DDRNet-23-slim'},
        'published mIoU on Cityscapes val, %': {'DDRNet-23', 'Fast-SCNN'},
    }


def test_all_models_of_table_3_have_their_accuracy(drawn):
    names = ('df1', 'df2', 'r18', 'stdc1', 'stdc2', 'lite_r18', 'lite_stdc1', 'lite_stdc2')
    (axes,) = drawn([entry(f'sfnet_{n}_cityscapes', 1 + i) for i, n in enumerate(names)])
    found = {t.get_text(): t.xy[1] for t in axes.texts}
    assert found == dict(
        sfnet_df1=74.5,
        sfnet_df2=77.8,
        sfnet_r18=79.8,
        sfnet_stdc1=78.1,
        sfnet_stdc2=79.8,
        sfnet_lite_r18=80.1,
        sfnet_lite_stdc1=78.8,
        sfnet_lite_stdc2=79.0,
    )
    # A network on another data set is the same one; its twin without flow is not.
    assert published('sfnet_stdc1_uds').miou == 78.1
    assert published('sfnet_stdc1_cityscapes without flow') is None


def test_a_model_is_drawn_on_its_fastest_backend(drawn):
    entries = [entry('PIDNet-S', 2), entry('PIDNet-S', 5, 'openvino'), entry('STDC1', 3)]
    (axes,) = drawn(entries)
    points = sorted(tuple(c.get_offsets()[0]) for c in axes.collections)
    assert points == [(3, 75.3), (5, 78.6)]
    assert {t.get_text() for t in axes.texts} == {'PIDNet-S (openvino)', 'STDC1 (native)'}
