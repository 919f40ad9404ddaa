import os.path as osp

from helpers import ROOT

CONFIG = osp.join(ROOT, 'configs', 'sfnet_lite_stdc1_miniuds.py')
SIZE = (96, 160)
META = dict(
    classes=tuple(f'class {i}' for i in range(19)), palette=[[i, 2 * i, 90] for i in range(19)]
)
