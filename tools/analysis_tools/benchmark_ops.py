"""Times the flow warp side by side: the authors' composition, plain torch, both compiled, and ours.

All ways of a case take turns within one run, so that what else the machine does falls on each of
them; the table gives the shortest time of each. Writes a JSON file per device into docs/benchmarks
and the table of docs/ops.md from all files there. With --table, only the table is written; with
--check, nothing is, and the exit status is 1 if the table is not that of the files.
"""

import argparse
import contextlib
import json
import statistics
import sys
import time
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from mmengine.utils import track_iter_progress

from sfnet_mm.deploy.measuring import cpu_model
from sfnet_mm.ops import flow_warp, gated_dual_flow_warp, has_ext
from sfnet_mm.utils.tooling import replace_between, write_text

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / 'docs' / 'ops.md'
RESULTS = ROOT / 'docs' / 'benchmarks'
BEGIN, END = '<!-- table of benchmark_ops.py: begin -->', '<!-- table of benchmark_ops.py: end -->'
LAYOUTS = {'NCHW': torch.contiguous_format, 'channels_last': torch.channels_last}
DTYPES = {'cpu': ('float32', 'bfloat16'), 'cuda': ('float32', 'float16', 'bfloat16')}
WAYS = {  # and how the table calls them
    'authors': 'authors',
    'compile_authors': 'compiled authors',
    'native': 'native',
    'compile': 'compiled native',
    'ext': 'ext',
}
# Input size, channels, (size of the sampled map, size of the output).
CASES = {
    ('FAM', '512x1024'): (128, (64, 128), (128, 256)),
    ('GD-FAM', '512x1024'): (128, (16, 32), (128, 256)),
    ('FAM', '1024x2048'): (128, (128, 256), (256, 512)),
    ('GD-FAM', '1024x2048'): (128, (32, 64), (256, 512)),
}


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--threads', type=int, default=2, help='threads of the CPU')
    parser.add_argument('--rounds', type=int, default=9, help='turns of each way')
    parser.add_argument('--ways', nargs='+', choices=WAYS, default=WAYS)
    parser.add_argument('--dtypes', nargs='+', choices=('float32', 'float16', 'bfloat16'))
    parser.add_argument('--sizes', nargs='+', choices=('512x1024', '1024x2048'))
    parser.add_argument('--network', help='also time this config, extension against plain torch')
    parser.add_argument('--network-size', type=int, nargs=2, default=(1024, 2048))
    parser.add_argument('--out', help='JSON file; default: docs/benchmarks/ops_{device}.json')
    parser.add_argument('--table', action='store_true', help='only write the table of docs/ops.md')
    parser.add_argument('--check', action='store_true', help='only check the table of docs/ops.md')
    return parser.parse_args()


# --- the four ways ---------------------------------------------------------------------------


def warp_like_the_authors(x, flow):
    """The warp as a composition: a grid built on the host at every call, then grid_sample."""
    height, width = flow.shape[-2:]
    rows = torch.linspace(-1, 1, height).view(-1, 1).repeat(1, width)
    columns = torch.linspace(-1, 1, width).repeat(height, 1)
    base = torch.stack((columns, rows), dim=2).repeat(len(x), 1, 1, 1).type_as(x).to(x.device)
    size = torch.tensor([[[[float(width), float(height)]]]]).type_as(x).to(x.device)
    return F.grid_sample(x, base + flow.permute(0, 2, 3, 1) / size, align_corners=True)


def fuse_like_the_authors(high, low, flow, gate):
    high = warp_like_the_authors(high, flow[:, :2])
    low = warp_like_the_authors(low, flow[:, 2:])
    return high * gate + low * (1 - gate)


def functions(module, ways, device, dtype):
    """The ways that can run, as functions of the inputs of the module."""
    single = module == 'FAM'
    ours = flow_warp if single else gated_dual_flow_warp
    authors = warp_like_the_authors if single else fuse_like_the_authors
    found = {
        'authors': authors,
        'compile_authors': torch.compile(authors),
        'native': lambda *args: ours(*args, backend='native'),
        'compile': torch.compile(lambda *args: ours(*args, backend='native'), fullgraph=True),
        'ext': lambda *args: ours(*args, backend='ext'),
    }
    # torch's half-precision grid_sample for the CPU is wrong on maps of this size.
    broken = {'authors', 'compile_authors'} if device == 'cpu' and dtype != 'float32' else set()
    missing = set() if has_ext() else {'ext'}
    return {name: found[name] for name in ways if name not in broken | missing}


# --- measuring -------------------------------------------------------------------------------


class Clock:
    """Milliseconds and peak memory of a call, on a device."""

    def __init__(self, device):
        self.cuda = device == 'cuda'

    def time(self, call):
        if self.cuda:
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda.synchronize()
            begin.record()
            call()
            end.record()
            torch.cuda.synchronize()
            return begin.elapsed_time(end)
        begin = time.perf_counter()
        call()
        return 1e3 * (time.perf_counter() - begin)

    def peak(self, call):
        """MB that the call held at most beyond what was held before, its results included."""
        if self.cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            call()
            return (torch.cuda.max_memory_allocated() - before) / 1e6
        with torch.profiler.profile(profile_memory=True) as profile:
            kept = call()
        del kept
        held = most = 0
        events = [e for e in profile.profiler.kineto_results.events() if e.name() == '[memory]']
        for event in sorted(events, key=lambda e: e.start_ns()):
            held += event.nbytes()
            most = max(most, held)
        return most / 1e6

    def race(self, calls, rounds):
        """The shortest and the median time of each call; they take turns."""
        for call in calls.values():
            call()
        times = {name: [] for name in calls}
        for _ in range(rounds):
            for name, call in calls.items():
                times[name].append(self.time(call))
        return {k: {'min': min(v), 'median': statistics.median(v)} for k, v in times.items()}


def rounded(value):
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return float(f'{value:.4g}') if isinstance(value, float) else value


def make_inputs(module, channels, high, low, layout, dtype, device):
    def make(function, count, size):
        x = function(1, count, *size, device=device).to(dtype)
        return x.contiguous(memory_format=LAYOUTS[layout]).requires_grad_()

    if module == 'FAM':
        return [make(torch.randn, channels, high), make(torch.randn, 2, low)]
    return [
        make(torch.randn, channels, high),
        make(torch.randn, channels, low),
        make(torch.randn, 4, low),
        make(torch.rand, 1, low),
    ]


def measure(case, args):
    """The rows of one module, input size, layout and dtype: forward and backward."""
    (module, size), layout, dtype_name = case
    channels, high, low = CASES[module, size]
    dtype, clock = getattr(torch, dtype_name), Clock(args.device)
    inputs = make_inputs(module, channels, high, low, layout, dtype, args.device)
    grad = torch.randn(1, channels, *low, device=args.device).to(dtype)
    grad = grad.contiguous(memory_format=LAYOUTS[layout])
    ways = functions(module, args.ways, args.device, dtype_name)
    torch._dynamo.reset()

    source, target = torch.rand_like(grad), torch.empty_like(grad)
    copy = clock.race({'copy': lambda: target.copy_(source)}, 2 * args.rounds)['copy']['min']
    bytes_per_ms = 2 * grad.nbytes / copy
    read = sum(t.nbytes for t in inputs)
    rows = []
    with torch.no_grad():
        calls = {name: (lambda f=f: f(*inputs)) for name, f in ways.items()}
        times = clock.race(calls, args.rounds)
        peaks = {name: clock.peak(call) for name, call in calls.items()}
    rows.append(('forward', (read + grad.nbytes) / bytes_per_ms, times, peaks))
    outs = {name: f(*inputs) for name, f in ways.items()}
    calls = {
        name: (lambda o=o: torch.autograd.grad(o, inputs, grad, retain_graph=True))
        for name, o in outs.items()
    }
    times = clock.race(calls, args.rounds)
    peaks = {name: clock.peak(call) for name, call in calls.items()}
    rows.append(('backward', (2 * read + grad.nbytes) / bytes_per_ms, times, peaks))
    return [
        rounded(
            {
                'module': module,
                'input': size,
                'layout': layout,
                'dtype': dtype_name,
                'pass': direction,
                'floor_ms': floor,
                'ms': times,
                'peak_mb': peaks,
            }
        )
        for direction, floor, times, peaks in rows
    ]


def measure_network(path, args):
    """Inference of a whole network, the extension against plain torch.

    As the segmentor runs it, in both layouts, and in the inference form of ``deploy.optimize``.
    """
    from mmengine.registry import init_default_scope

    from sfnet_mm.deploy import load_model, optimize
    from sfnet_mm.deploy.memory import reuse_memory
    from sfnet_mm.ops._loader import EXT

    init_default_scope('mmseg')
    model = load_model(path, device=args.device)
    image = torch.randn(1, 3, *args.network_size, device=args.device)
    forms = {
        'NCHW': (model, torch.contiguous_format),
        'channels_last': (model, torch.channels_last),
        'optimized': (optimize(model, verbose=False), torch.channels_last),
    }

    def run(form, x, warp):
        with warp():
            return form(x)

    rows = []
    for name, (form, memory_format) in forms.items():
        form.to(memory_format=memory_format)
        x = image.contiguous(memory_format=memory_format)
        # As the torch runtime does for this form, whichever warp it has.
        reuse_memory(name == 'optimized')
        ways = {'native': EXT.switched_off, 'ext': contextlib.nullcontext}
        calls = {name: partial(run, form, x, warp) for name, warp in ways.items()}
        with torch.inference_mode():
            times = Clock(args.device).race(calls, args.rounds)
        row = {'config': Path(path).stem, 'size': list(args.network_size), 'form': name}
        rows.append(rounded({**row, 'ms': times}))
    return rows


def device_name(device):
    return torch.cuda.get_device_name() if device == 'cuda' else cpu_model()


# --- the table -------------------------------------------------------------------------------


def table(results):
    """Markdown of all results: times, the ratios that matter, and the memory."""
    lines = []
    for result in results:
        where = result['device'] + (
            f', {result["threads"]} threads' if result['kind'] == 'cpu' else ''
        )
        lines += [
            f'### {where} (torch {result["torch"]}, {result["date"]})',
            '',
            'Shortest time in ms of '
            f'{result["rounds"]} interleaved turns, results allocated anew; in brackets '
            'the peak of the memory in MB.',
            '',
            '| module, input | layout, dtype | pass | floor | '
            + ' | '.join(WAYS.values())
            + ' | '
            + ' | '.join(f'{way} / ext' for way in list(WAYS.values())[:-1])
            + ' | ext / floor |',
            '| --- | --- | --- ' + '| --: ' * 11 + '|',
        ]
        for row in result['rows']:
            best = {name: values['min'] for name, values in row['ms'].items()}

            def cell(name, row=row, best=best):
                if name not in best:
                    return '-'
                return f'{best[name]:.3g} ({row["peak_mb"][name]:.0f})'

            def ratio(a, b):
                return f'{a / b:.1f}x' if a and b else '-'

            ext = best.get('ext')
            lines.append(
                f'| {row["module"]}, {row["input"]} | {row["layout"]}, {row["dtype"]} | '
                f'{row["pass"]} | {row["floor_ms"]:.3g} | '
                + ' | '.join(cell(name) for name in WAYS)
                + ' | '
                + ' | '.join(ratio(best.get(name), ext) for name in list(WAYS)[:-1])
                + f' | {ratio(ext, row["floor_ms"])} |'
            )
        lines.append('')
        if result.get('network'):
            rounds = result.get('network_rounds', result['rounds'])
            lines += [
                f'Shortest time in ms of {rounds} interleaved turns.',
                '',
                '| network, inference | form | native | ext | less time |',
                '| --- | --- | --: | --: | --: |',
            ]
            for row in result['network']:
                plain, ext = row['ms']['native']['min'], row['ms']['ext']['min']
                size = 'x'.join(map(str, row['size']))
                lines.append(
                    f'| {row["config"]}, {size} | {row["form"]} | {plain:.0f} | {ext:.0f} | '
                    f'{100 * (1 - ext / plain):.1f} % |'
                )
            lines.append('')
    kinds = {result['kind'] for result in results}
    if 'cuda' not in kinds:
        lines += ['GPU: not measured.', '']
    return '\n'.join(lines)


def page_with_table():
    text = PAGE.read_text(encoding='utf-8')
    files = sorted(RESULTS.glob('ops_*.json'))
    results = [json.loads(f.read_text(encoding='utf-8')) for f in files]
    return replace_between(text, BEGIN, END, f'\n\n{table(results)}\n', 'docs/ops.md')


def main():
    args = parse_args()
    if args.check:
        if PAGE.read_text(encoding='utf-8') != page_with_table():
            print(f'{PAGE} is not up to date: python {Path(__file__).name} --table')
            sys.exit(1)
        return
    if args.table:
        write_text(PAGE, page_with_table())
        return
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    cases = [
        (key, layout, dtype)
        for key in CASES
        if not args.sizes or key[1] in args.sizes
        for layout in LAYOUTS
        for dtype in args.dtypes or DTYPES[args.device]
    ]
    result = {
        'device': device_name(args.device),
        'kind': args.device,
        'threads': args.threads,
        'torch': torch.__version__,
        'date': time.strftime('%Y-%m-%d'),
        'rounds': args.rounds,
        'rows': [],
    }
    out = Path(args.out) if args.out else RESULTS / f'ops_{args.device}.json'
    for case in track_iter_progress(cases):
        result['rows'] += measure(case, args)
    if args.network:
        result['network'] = measure_network(args.network, args)
    write_text(out, json.dumps(result, indent=1) + '\n')
    print(f'\n{table([result])}\nwritten: {out}')
    if out.parent == RESULTS:
        write_text(PAGE, page_with_table())


if __name__ == '__main__':
    main()
