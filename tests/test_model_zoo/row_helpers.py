"""The rows of the paper's tables that have a config, and what tests look for in a config."""

from functools import lru_cache

from helpers import ROOT, load_config

from sfnet_mm.model_zoo.metafiles import config_files
from sfnet_mm.model_zoo.paper import paper_settings, paper_tables
from sfnet_mm.utils.config_parts import data_sets, parts

FILES = config_files(ROOT)
SAYS = {s['section']: s['says'] for s in paper_settings()}
TABLES = {t.number: t for t in paper_tables()}
# mmdet builds those of Table 15.
CASES = [(t, r) for t in paper_tables() for r in t.rows if r.config and t.number != '15']


@lru_cache(None)
def config(name):
    return load_config(FILES[name])


def heads(cfg):
    return parts(cfg.model.decode_head)


def innermost(loader):
    (dataset,) = data_sets(loader)
    return dataset


def step(pipeline, *kinds):
    return next((s for s in pipeline if s['type'] in kinds), None)


def ids(case):
    return f'{case[0].number}-{case[1].config}'
