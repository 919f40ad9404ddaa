# Table 9b: flow predicted by a 1x1 convolution (3x3 is the default).
_base_ = ['../sfnet_r18_cityscapes.py']

model = dict(decode_head=dict(align=dict(type='FlowAlignmentModule', kernel_size=1)))
