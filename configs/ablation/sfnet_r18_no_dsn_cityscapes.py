# Without the deep supervision of section 3.5; the authors keep fewer pixels then.
_base_ = ['../sfnet_r18_cityscapes.py']

model = dict(decode_head=dict(deep_supervision=False, loss_decode=dict(min_kept=10000)))
