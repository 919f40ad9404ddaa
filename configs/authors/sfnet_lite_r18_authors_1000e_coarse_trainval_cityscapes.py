# The authors' SFNet-Lite-ResNet-18 for the test server of Cityscapes (Table 3), trained on train
# and val; a test writes the masks that the server takes.
_base_ = ['./sfnet_lite_r18_authors_1000e_coarse_cityscapes.py']

train_dataloader = dict(dataset=dict(dataset=dict(split='trainval')))
test_dataloader = dict(dataset=dict(split='test'))
test_evaluator = dict(format_only=True, output_dir='work_dirs/cityscapes_test')
