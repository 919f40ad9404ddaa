# The gate of Eq. 5, a 1x1 convolution (the authors' code has 3x3).
_base_ = ['../sfnet_lite_r18_cityscapes.py']

model = dict(decode_head=dict(align=dict(type='GatedDualFlowAlignmentModule', gate_kernel_size=1)))
