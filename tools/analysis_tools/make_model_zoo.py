"""Writes docs/model_zoo.md, and the table of README.md, from the metafiles.

    make_model_zoo.py           # write the page and the table
    make_model_zoo.py --count   # count parameters and multiply-adds of all models anew
    make_model_zoo.py --check   # fail if one of them is out of date

Every number stands in one place: the paper's in ``configs/**/metafile*.yml``, remarks on its tables
in ``docs/paper_tables.yml``, counts in
``docs/benchmarks/complexity.json``, results of runs in ``Results`` of the metafiles and, for the
comparison on CamVid, in ``docs/benchmarks/camvid360.json`` (``results.json`` of ``compare.py``).
"""

import argparse
import glob
import json
import logging
import os.path as osp
import statistics
import sys
import warnings

import yaml
from get_flops import build, multiply_adds, parameters_at_inference
from mmengine.logging import MMLogger

from sfnet_mm.utils.tooling import mean_and_spread, replace_between, write_text

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))
PAGE = 'docs/model_zoo.md'
README = 'README.md'
README_MARKERS = ('<!-- models: begin (made by `make docs`) -->\n', '<!-- models: end -->')
TABLES = 'docs/paper_tables.yml'
COMPLEXITY = 'docs/benchmarks/complexity.json'
CAMVID = 'docs/benchmarks/camvid360.json'
# What was seen in that run, in words; it goes with the numbers.
CAMVID_READING = 'docs/benchmarks/camvid360.md'
CAMVID_BASE = 'fpn_ppm_stdc1_camvid360'
SIZES = {
    'ADE20K': (512, 512),
    'CamVid': (720, 960),
    'CamVid (360x480)': (360, 480),
    'BDD100K': (720, 1280),
    'Mapillary Vistas': (1536, 1536),
    'mini-UDS': (128, 256),
}

HEADER = [
    'config',
    'data',
    'parameters (M)',
    'paper',
    'multiply-adds (G)',
    'paper',
    'mIoU, paper',
    'FPS, paper',
    'mIoU, measured',
]


def parse_args(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--count', action='store_true', help='count all models anew')
    parser.add_argument('--check', action='store_true', help='only compare, exit 1 if outdated')
    return parser.parse_args(argv)


def read_models():
    """Entries of all metafiles, those of the main one first."""
    paths = sorted(glob.glob(osp.join(ROOT, 'configs', '**', 'metafile*.yml'), recursive=True))
    main = osp.join(ROOT, 'configs', 'metafile.yml')
    models = []
    for path in [main, *(p for p in paths if p != main)]:
        with open(path, encoding='utf-8') as file:
            models += yaml.safe_load(file)['Models']
    models = [m for m in models if 'panoptic' not in m['Config'] and 'robustnet' not in m['Config']]
    missing = [m['Config'] for m in models if not osp.isfile(osp.join(ROOT, m['Config']))]
    if missing:
        raise SystemExit(f'error: metafiles name {missing[0]}, which does not exist')
    return models


def tables_of(model):
    """Keys of the tables that a model stands in."""
    default = {'Cityscapes': ['3'], 'UDS': ['7']}
    data = model['Metadata']['Training Data']
    return [str(t) for t in model['Metadata'].get('Tables', default.get(data, ['other']))]


def input_size(model):
    """Height and width at which multiply-adds are counted: the paper's, else the data set's."""
    size = model.get('Published', {}).get('Input')
    if size:
        return tuple(map(int, size.split('x')))
    return SIZES.get(model['Metadata']['Training Data'], (1024, 2048))


def input_text(model):
    return 'x'.join(map(str, input_size(model)))


def count(models):
    """Config -> parameters, multiply-adds and the input they belong to."""
    counts = {}
    for i, model in enumerate(models, 1):
        print(f'\r{i}/{len(models)} {model["Name"]:60}', end='', file=sys.stderr, flush=True)
        network, size = build(osp.join(ROOT, model['Config'])), input_size(model)
        counts[model['Config']] = {
            'parameters': parameters_at_inference(network),
            'multiply_adds': multiply_adds(network, size),
            'input': input_text(model),
        }
    if models:
        print(file=sys.stderr)
    return counts


def cells(model, counts):
    """The row of a model."""
    config, meta = model['Config'], model['Metadata']
    paper, here = model.get('Published', {}), counts[config]
    mious = [
        f'{paper[k]} {split}' for k, split in (('mIoU', 'test'), ('mIoU val', 'val')) if k in paper
    ]
    measured = [
        f'{r["Metrics"]["mIoU"]} ({r.get("Note", r["Dataset"])})' for r in model.get('Results', [])
    ]
    return [
        f'[{model["Name"]}](../{config})',
        meta['Training Data'],
        f'{here["parameters"] / 1e6:.2f}',
        str(paper.get('Parameters', '')),
        f'{here["multiply_adds"] / 1e9:.1f} @ {here["input"]}',
        str(paper.get('Multiply-adds', '')),
        ', '.join(mious),
        str(paper.get('FPS', '')),
        ', '.join(measured) or 'not run',
    ]


def markdown_table(header, rows):
    lines = [header, ['---'] * len(header), *rows]
    return ['| ' + ' | '.join(line) + ' |' for line in lines]


def notes(models):
    """Remarks of the models of a table."""
    found = {}
    for model in models:
        paper = model.get('Published', {})
        for key, text in paper.items():
            if key == 'Note':
                found.setdefault(text, []).append(model['Name'])
            elif key.endswith(' note'):
                figure = f"the paper's figure of {key[:-5].lower()} {text}."
                found.setdefault(figure, []).append(model['Name'])
    return [f'- {", ".join(names)}: {text}' for text, names in found.items()]


def read_lines(name):
    """The lines of a file of the repository and an empty one; none if there is no such file."""
    path = osp.join(ROOT, name)
    if not osp.isfile(path):
        return []
    with open(path, encoding='utf-8') as file:
        return [*file.read().splitlines(), '']


def camvid_section():
    """The comparison on CamVid, if it was run."""
    try:
        with open(osp.join(ROOT, CAMVID), encoding='utf-8') as file:
            rows = json.load(file)
    except FileNotFoundError:
        return []
    first = next(iter(rows.values()))[0]
    budget = first['budget']
    ranked = sorted(rows.items(), key=lambda r: -statistics.mean(x['mIoU'] for x in r[1]))
    classes = list(first['per_class'])
    table, by_class = [], []
    base = {r['seed']: r['mIoU'] for r in rows.get(CAMVID_BASE, [])}
    for name, runs in ranked:
        gains = [r['mIoU'] - base[r['seed']] for r in runs if r['seed'] in base]
        gain = f'{statistics.mean(gains):+.2f}' if gains and name != CAMVID_BASE else ''
        flows = [length for r in runs for length in r['flow_px'].values()]
        table.append(
            [
                f'[{name}](../{runs[0]["config"]})',
                mean_and_spread([r['mIoU'] for r in runs]),
                str(len(runs)),
                gain,
                f'{runs[0]["parameters"] / 1e6:.2f}',
                f'{statistics.median(r["milliseconds_per_iteration"] for r in runs):.0f}',
                f'{statistics.mean(flows):.2f}' if flows else '',
            ]
        )
        scores = [statistics.mean(r['per_class'][c] for r in runs) for c in classes]
        by_class.append([name.replace('_camvid360', ''), *(f'{s:.1f}' for s in scores)])
    return [
        '## Measured here: CamVid',
        '',
        f'{budget["iters"]} iterations of batch {budget["batch_size"]} for every model, random '
        'weights unless the name says from what, each under its own losses: far from converged. '
        f'mIoU of val, mean ± standard deviation over seeds; {first["device"]}, {first["date"]}. '
        'Made by `tools/analysis_tools/compare.py`.',
        '',
        *markdown_table(
            [
                'config',
                'mIoU',
                'seeds',
                'Δ FPN+PPM, seed by seed',
                'parameters while training (M)',
                'ms per iteration',
                'mean flow (px)',
            ],
            table,
        ),
        '',
        *markdown_table(['IoU', *classes], by_class),
        '',
        *read_lines(CAMVID_READING),
    ]


def page(models, counts):
    """The text of the page."""
    lines = [
        '# Model zoo',
        '',
        '<!-- made by tools/analysis_tools/make_model_zoo.py from the metafiles: change those -->',
        '',
        'Parameters and multiply-adds are counted here, from the networks of the configs: what the '
        'logits depend on, at the input given, without normalization, activation, pooling and '
        "warping. Columns marked *paper* hold the paper's figures where they are known, frames per "
        'second on whatever device; an empty cell says nothing about the paper. *Measured* is what '
        'a run of this package gave; weights are not published.',
        '',
        *camvid_section(),
    ]
    with open(osp.join(ROOT, TABLES), encoding='utf-8') as file:
        tables = yaml.safe_load(file)
    for table in tables:
        rows = [m for m in models if table['Table'] in tables_of(m)]
        if not rows:
            continue
        lines += [f'## {table["Title"]}', '']
        lines += [table['Remark'], ''] if 'Remark' in table else []
        lines += markdown_table(HEADER, [cells(m, counts) for m in rows]) + ['']
        lines += [*notes(rows), ''] if notes(rows) else []
    return '\n'.join(lines)


def readme(text, models, counts):
    """README with the paper's models on Cityscapes, and all that was measured, in its table."""
    rows = [
        [cell.replace('](../', '](') for cell in cells(m, counts)]
        for m in models
        if (m['Metadata']['Training Data'] == 'Cityscapes' or 'Results' in m)
        and osp.dirname(m['Config']) == 'configs'
        and ('Published' in m or 'Results' in m)
    ]
    table = '\n'.join(markdown_table(HEADER, rows)) + '\n'
    return replace_between(text, *README_MARKERS, table, README)


def main(argv=None):
    args = parse_args(argv)
    warnings.simplefilter('ignore')
    MMLogger.get_instance('mmengine').setLevel(logging.ERROR)
    models = read_models()
    stored = osp.join(ROOT, COMPLEXITY)
    counts = {}
    if osp.isfile(stored) and not args.count:
        with open(stored, encoding='utf-8') as file:
            counts = json.load(file)
    new = [m for m in models if counts.get(m['Config'], {}).get('input') != input_text(m)]
    if new and args.check:
        raise SystemExit(f'error: {new[0]["Name"]} is not counted: run {osp.basename(__file__)}')
    counts.update(count(new))
    counts = {m['Config']: counts[m['Config']] for m in models}
    if not args.check:
        write_text(stored, json.dumps(counts, indent=1) + '\n')
    with open(osp.join(ROOT, README), encoding='utf-8') as file:
        texts = {PAGE: page(models, counts), README: readme(file.read(), models, counts)}
    for name, text in texts.items():
        path = osp.join(ROOT, name)
        if not args.check:
            write_text(path, text)
            continue
        with open(path, encoding='utf-8') as file:
            if file.read() != text:
                raise SystemExit(f'error: {name} is out of date: run {osp.basename(__file__)}')
    print(f'{", ".join(texts)}: {"up to date" if args.check else "written"}, {len(models)} models')


if __name__ == '__main__':
    main()
