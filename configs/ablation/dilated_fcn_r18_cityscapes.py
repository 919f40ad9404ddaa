# Table 8a: FCN at output stride 8. What is dilated is the same in all rows of the table.
_base_ = ['./fcn_r18_cityscapes.py']

model = dict(backbone=dict(strides=(1, 2, 1, 1)))
