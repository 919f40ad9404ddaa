"""Draws accuracy over speed, as in Figure 1 of the paper."""

from typing import Any

from sfnet_mm.utils.tooling import atomic_file

from .peers import published

# Offsets of a label from its marker, in points, and the alignment of its text. The best is first.
_PLACES = (
    (6, 4, 'left', 'bottom'),
    (-6, 4, 'right', 'bottom'),
    (6, -4, 'left', 'top'),
    (-6, -4, 'right', 'top'),
    (8, 0, 'left', 'center'),
    (-8, 0, 'right', 'center'),
    (0, 9, 'center', 'bottom'),
    (0, -9, 'center', 'top'),
    (10, 14, 'left', 'bottom'),
    (-10, 14, 'right', 'bottom'),
    (10, -14, 'left', 'top'),
    (-10, -14, 'right', 'top'),
)


def plot(path: str, header: dict[str, Any], entries: list[dict[str, Any]]) -> bool:
    """Draw published mIoU over images per second, with each model on its fastest backend.

    Accuracies on the test set and on the val set cannot be compared, so each has its own panel.
    Models without a published accuracy are left out. If no model has one, nothing is drawn.

    Args:
        path: Path of the picture, a PNG.
        header: Device and image size, as ``device`` and ``size``.
        entries: Results of :meth:`sfnet_mm.benchmark.models.Entry.to_dict`.

    Returns:
        bool: Whether the plot was drawn.
    """
    import matplotlib

    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    best = _fastest(entries)
    splits = sorted({published(name).split for name in best})
    if not best:
        return False
    backends = sorted({e['backend'] for e in best.values()})
    figure, panels = plt.subplots(
        1, len(splits), figsize=(8 if len(splits) == 1 else 12, 5.5), dpi=120, squeeze=False
    )
    labels = {}
    for axes, split in zip(panels[0], splits):
        chosen = {n: e for n, e in best.items() if published(n).split == split}
        labels[axes] = _scatter(axes, chosen, with_backend=len(backends) > 1)
        axes.set_ylabel(f'published mIoU on Cityscapes {split}, %')
    where = f'{header["size"]}, {header["device"]}' + (
        f', backend {backends[0]}' if len(backends) == 1 else ''
    )
    figure.supxlabel(f'images per second: {where}', fontsize=8)
    figure.tight_layout()
    for axes, texts in labels.items():
        _label(figure, axes, sorted(texts))
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format='png')
    plt.close(figure)
    return True


def _scatter(axes: Any, best: dict[str, dict[str, Any]], with_backend: bool) -> list[Any]:
    """Draw the markers of one panel and return (x, y, label) of each."""
    from matplotlib.ticker import LogLocator, NullLocator

    # The frame rates in one plot differ by a factor of ten or more.
    axes.set_xscale('log')
    texts = []
    for name, e in best.items():
        miou, ours = published(name).miou, name.startswith('sfnet')
        axes.scatter(
            e['fps'],
            miou,
            s=140 if ours else 45,
            c='tab:red' if ours else 'tab:blue',
            marker='*' if ours else 'o',
            zorder=3,
            edgecolors='white',
            linewidths=0.6,
        )
        label = name.replace('_cityscapes', '') + (f' ({e["backend"]})' if with_backend else '')
        texts.append((e['fps'], miou, label))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
    axes.xaxis.set_major_formatter('{x:g}')
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(alpha=0.3)
    axes.margins(x=0.12, y=0.1)
    return texts


def _fastest(entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    best: dict[str, dict[str, Any]] = {}
    for e in entries:
        if e['milliseconds'] and (e['name'] not in best or e['fps'] > best[e['name']]['fps']):
            best[e['name']] = e
    return {name: e for name, e in best.items() if published(name)}


def _label(figure: Any, axes: Any, texts: list[Any]) -> None:
    """Place each label at the first offset where it covers no other label and no marker."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    frame = axes.get_window_extent(renderer)
    markers = [axes.transData.transform((x, y)) for x, y, _ in texts]
    taken: list[Any] = []
    for x, y, label in texts:
        text = axes.annotate(label, (x, y), (0, 0), textcoords='offset points', fontsize=7.5)
        for dx, dy, ha, va in _PLACES:
            text.set(position=(dx, dy), ha=ha, va=va)
            box = text.get_window_extent(renderer)
            near = box.padded(2)
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1
            hits = any(box.overlaps(other) for other in taken)
            if inside and not hits and not any(near.contains(*m) for m in markers):
                break
        taken.append(box)
