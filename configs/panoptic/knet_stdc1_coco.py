_base_ = ['./_base_/knet_stdc1.py', './_base_/coco_panoptic_36e.py', './_base_/panoptic_runtime.py']
