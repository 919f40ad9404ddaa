import itertools

import pytest

from sfnet_mm.benchmark import accuracy_plot
from sfnet_mm.benchmark.peers import PEERS

plt = pytest.importorskip('matplotlib.pyplot')
HEADER = {'size': '64x128', 'device': 'CPU'}


def entry(name, fps, backend='torch'):
    return dict(name=name, backend=backend, fps=fps, milliseconds=[1000 / fps])


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """The axes of a plot, as they were when it was saved."""
    kept = []
    monkeypatch.setattr(plt, 'close', kept.append)

    def draw(entries):
        assert accuracy_plot.plot(str(tmp_path / 'plot.png'), HEADER, entries)
        assert [p.name for p in tmp_path.iterdir()] == ['plot.png']
        return kept[-1].axes[0]

    yield draw
    monkeypatch.undo()
    plt.close('all')


def test_labels_of_neighbours_are_apart_and_inside(drawn):
    axes = drawn([entry(name, 1 + 0.1 * i) for i, name in enumerate(PEERS)])
    boxes = [t.get_window_extent() for t in axes.texts]
    assert len(boxes) == len(PEERS)
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    frame = axes.get_window_extent()
    assert all(frame.x0 <= b.x0 and b.x1 <= frame.x1 for b in boxes)


def test_a_model_is_drawn_on_its_fastest_backend(drawn):
    entries = [entry('PIDNet-S', 2), entry('PIDNet-S', 5, 'openvino'), entry('STDC1', 3)]
    axes = drawn(entries)
    points = sorted(tuple(c.get_offsets()[0]) for c in axes.collections)
    assert points == [(3, 75.3), (5, 78.6)]
    assert {t.get_text() for t in axes.texts} == {'PIDNet-S (openvino)', 'STDC1 (torch)'}
