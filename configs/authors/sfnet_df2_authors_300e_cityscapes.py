# The authors' SFNet-DF2 on Cityscapes. Their script names DF1, by mistake.
_base_ = [
    '../_base_/models/sfnet_df2.py',
    '../_base_/datasets/cityscapes_authors.py',
    '../_base_/schedules/authors_300e.py',
    '../_base_/default_runtime.py',
]
