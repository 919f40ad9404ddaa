# CamVid at 360x480: rare classes weigh more in the loss, by the weights of check_dataset.py.
_base_ = ['../sfnet_efflite0_camvid360.py']

class_weight = [0.278, 0.213, 1.632, 0.165, 0.763, 0.433, 1.536, 1.558, 0.634, 1.841, 2.117]
model = dict(decode_head=dict(loss_decode=dict(class_weight=class_weight)))
