# Table 9a: deconvolution inside of FAM (bilinear is the default).
_base_ = ['../sfnet_r18_cityscapes.py']

model = dict(decode_head=dict(align=dict(type='FlowAlignmentModule', upsample='deconv')))
