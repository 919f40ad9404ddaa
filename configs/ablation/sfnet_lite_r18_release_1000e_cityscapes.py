# Table 10c: long training, by the recipe of the release.
_base_ = [
    '../_base_/models/sfnet_lite.py',
    '../_base_/datasets/cityscapes_release.py',
    '../_base_/schedules/release_1000e.py',
    '../_base_/default_runtime.py',
]
