"""Each ablation changes the one thing that it names, and head and data agree on the classes."""

import os.path as osp
import re

import pytest
from helpers import config_paths, load_config, read_text
from mmseg.registry import DATASETS

from sfnet_mm.utils.config_parts import data_sets, parts

# Name of an ablation -> what it may change in the config of its parent.
CHANGES = {
    r'sfnet_r18_(correlation|dcn)_f5_': (
        'model.decode_head.align.',
        'model.decode_head.align_levels',
    ),
    r'sfnet_r18_(deconv|nearest|kernel\d|dcn)_': 'model.decode_head.align',
    r'sfnet_lite_r18_(nogate|\w*gates?|gate1x1|bilinear|fam|dcn)_': 'model.decode_head.align',
    r'sfnet_r18_fam_': 'model.decode_head.align_levels',
    r'sfnet_r18_(nonlocal|aspp|denseaspp|sppm)_': 'model.decode_head.context',
    r'sfnet_r18_align_fusion_': 'model.decode_head.align_fusion',
    r'sfnet_r18_no_dsn_': ('model.decode_head.deep_supervision', 'model.decode_head.loss_decode'),
    r'sfnet_lite_r18_authors_300e_no_uniform_': 'train_dataloader.dataset.fraction',
    r'fpn_ppm_(\w+)_(cityscapes|uds|camvid360)': 'model.decode_head.align',
    r'sfnet_(lite_)?efflite0_(bilinear|dysample|carafe|sapa|freqfusion|dcn)_': (
        'model.decode_head.align'
    ),
    r'fpn_fam_r18_': 'model.decode_head.context',
    r'dilated_fcn_r18_': 'model.backbone.strides',
    r'fpn_r18_': ('model.decode_head.align', 'model.decode_head.context'),
    r'sfnet_efflite0_class_weight_': ('class_weight', 'model.decode_head.loss_decode.class_weight'),
    r'sfnet_efflite0_uniform_': ('train_dataloader', 'train_pipeline'),
    r'\w+_from_(mini)?uds_camvid': 'load_from',
}


def flat(node, path=''):
    """Dotted path -> value of everything in a config."""
    if isinstance(node, dict) and node:
        return {
            k: v for key, value in node.items() for k, v in flat(value, f'{path}.{key}').items()
        }
    if isinstance(node, (list, tuple)) and any(isinstance(v, dict) for v in node):
        return flat({str(i): v for i, v in enumerate(node)}, path)
    return {path[1:]: node}


def parent_of(path):
    """The final config that an ablation is a child of, or None if it is made of bases."""
    named = re.search(r"^_base_ = \['([^']*)'\]$", read_text(path), re.M)
    return osp.normpath(osp.join(osp.dirname(path), named[1])) if named else None


CHILDREN = [(p, parent_of(p)) for p in config_paths('ablation') if parent_of(p)]


def allowed(path):
    name = osp.basename(path)[: -len('.py')]
    prefixes = next(value for pattern, value in CHANGES.items() if re.match(pattern, name))
    return (prefixes,) if isinstance(prefixes, str) else prefixes


@pytest.mark.parametrize('path, parent', CHILDREN)
def test_an_ablation_changes_what_it_names(path, parent):
    before, after = (flat(load_config(p).to_dict()) for p in (parent, path))
    changed = sorted(k for k in {*before, *after} if before.get(k, '-') != after.get(k, '-'))
    for key in changed:
        print(f'{key}: {before.get(key, "-")} -> {after.get(key, "-")}')
    prefixes = allowed(path)
    assert changed, f'{path} is its parent'
    for prefix in prefixes:
        assert any(k.startswith(prefix) for k in changed), f'{path} does not change {prefix}'
    outside = [k for k in changed if not k.startswith(tuple(prefixes))]
    assert not outside, f'{path} also changes {outside}'


@pytest.mark.parametrize('path', [p for p in config_paths() if 'panoptic' not in p])
def test_heads_have_the_classes_of_the_data(path):
    cfg = load_config(path)
    heads = parts(cfg.model.decode_head) + parts(cfg.model.get('auxiliary_head'))
    counts = {h.num_classes for h in heads if h.type != 'STDCHead'}  # that one tells edges
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        (dataset,) = data_sets(loader)
        kind = DATASETS.get(dataset.type)
        assert counts == {len(kind.METAINFO['classes'])}
