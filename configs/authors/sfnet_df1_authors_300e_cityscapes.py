# The authors' SFNet-DF1 on Cityscapes.
_base_ = [
    '../_base_/models/sfnet_df1.py',
    '../_base_/datasets/cityscapes_authors.py',
    '../_base_/schedules/authors_300e.py',
    '../_base_/default_runtime.py',
]
