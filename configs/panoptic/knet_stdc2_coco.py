_base_ = ['./_base_/knet_stdc2.py', './_base_/coco_panoptic_36e.py', './_base_/panoptic_runtime.py']
