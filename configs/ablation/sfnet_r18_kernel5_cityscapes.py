# Table 9b: flow predicted by a 5x5 convolution (3x3 is the default).
_base_ = ['../sfnet_r18_cityscapes.py']

model = dict(decode_head=dict(align=dict(type='FlowAlignmentModule', kernel_size=5)))
