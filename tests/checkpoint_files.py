"""Checkpoints of a runner, and what runs code when it is unpickled."""

import os

import numpy as np
import torch
from mmengine.logging import MessageHub


class RunsCode:
    """Unpickles to a call of ``os.system`` that leaves a file behind."""

    def __init__(self, witness):
        self.witness = witness

    def __reduce__(self):
        return os.system, (f'touch {self.witness}',)


def runner_checkpoint():
    hub = MessageHub('compat')
    for value in (4.0, 2.0):
        hub.update_scalar('train/loss', value)
    hub.update_info('iter', 7)
    return dict(
        message_hub=hub.state_dict(),
        state_dict=dict(weight=torch.arange(3.0)),
        meta=dict(iter=7, seed=np.int64(3), classes=('road',), times=np.arange(2.0)),
    )
