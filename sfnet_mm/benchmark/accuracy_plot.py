"""The paper's Figure 1: accuracy over speed."""

from typing import Any, Dict, List

from sfnet_mm.utils.tooling import whole_file

from .peers import published

# Where a label may lie, in points from its marker, and which of its ends is there; best first.
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


def plot(path: str, header: Dict[str, Any], entries: List[Dict[str, Any]]) -> bool:
    """Draw published mIoU over images per second, every model on its fastest backend.

    Models without a published accuracy are left out; without any, nothing is drawn.

    Args:
        path: Of the picture, a PNG.
        header: Device and size.
        entries: As ``Entry.to_dict`` gives them.

    Returns:
        bool: Whether there is a plot.
    """
    import matplotlib

    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator, NullLocator

    best = _fastest(entries)
    if not best:
        return False
    backends = sorted({e['backend'] for e in best.values()})
    figure, axes = plt.subplots(figsize=(8, 5.5), dpi=120)
    # Frame rates of one plot are tens of times apart.
    axes.set_xscale('log')
    texts = []
    for name, e in best.items():
        accuracy = published(name)
        ours = name.startswith('sfnet')
        axes.scatter(
            e['fps'],
            accuracy.miou,
            s=140 if ours else 45,
            c='tab:red' if ours else 'tab:blue',
            marker='*' if ours else 'o',
            zorder=3,
            edgecolors='white',
            linewidths=0.6,
        )
        label = name.replace('_cityscapes', '') + ('†' if accuracy.source.startswith('val') else '')
        label += f' ({e["backend"]})' if len(backends) > 1 else ''
        texts.append((e['fps'], accuracy.miou, label))
    where = f'{header["size"]}, {header["device"]}' + (
        f', backend {backends[0]}' if len(backends) == 1 else ''
    )
    axes.set_xlabel(f'images per second: {where}', fontsize=8)
    axes.set_ylabel('published Cityscapes mIoU, % (test; † val)')
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
    axes.xaxis.set_major_formatter('{x:g}')
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(alpha=0.3)
    axes.margins(x=0.12, y=0.1)
    figure.tight_layout()
    _label(figure, axes, sorted(texts))
    with whole_file(path) as temporary:
        figure.savefig(temporary, format='png')
    plt.close(figure)
    return True


def _fastest(entries: List[Dict[str, Any]]) -> Dict[str, Dict[str, Any]]:
    best: Dict[str, Dict[str, Any]] = {}
    for e in entries:
        if e['milliseconds'] and (e['name'] not in best or e['fps'] > best[e['name']]['fps']):
            best[e['name']] = e
    return {name: e for name, e in best.items() if published(name)}


def _label(figure: Any, axes: Any, texts: List[Any]) -> None:
    """Write each label at the first place where it covers no other label and no marker."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    frame = axes.get_window_extent(renderer)
    markers = [axes.transData.transform((x, y)) for x, y, _ in texts]
    taken: List[Any] = []
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
