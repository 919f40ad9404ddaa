"""The numbers of images that the paper gives for each data set.

SFNet: Faster and Accurate Semantic Segmentation via Semantic Flow, https://arxiv.org/abs/2207.04415,
Table 2 and section 4.1.
"""

from __future__ import annotations

from functools import cache


@cache
def paper_counts() -> dict[tuple[str, str], dict[int, str]]:
    """Return the numbers of images by source and split, each with its place in the paper.

    IDD has two numbers for one split.
    """
    from sfnet_mm.model_zoo.paper import paper_notes, paper_tables

    found: dict[tuple[str, str], dict[int, str]] = {}
    for row in next(table.rows for table in paper_tables() if table.number == '2'):
        for split in ('train', 'val'):
            key = row.figures['dataset'].lower(), split
            found[key] = {row.figures[f'{split}_images']: 'Table 2'}
    for count in paper_notes()['counts']:
        key = count['source'], count['split']
        found.setdefault(key, {})[count['images']] = f'section {count["section"]}'
    return found


def contradiction(source: str, split: str) -> str:
    """Describe the contradicting numbers of the paper for a split; empty if there are none."""
    counts = paper_counts().get((source, split), {})
    if len(counts) < 2:
        return ''
    return 'the paper has ' + ' and '.join(f'{n:,} ({where})' for n, where in counts.items())
