# Cityscapes for the test server (Table 3): trained on train and val, and a test writes the masks of
# the test split, in the ids that the server takes, into one folder. What is scored on val while it
# is trained says nothing, since val is trained on: submit the last checkpoint, not the best.
_base_ = ['./cityscapes.py']

train_dataloader = dict(dataset=dict(dataset=dict(split='trainval')))
test_dataloader = dict(dataset=dict(split='test'))
test_evaluator = dict(format_only=True, output_dir='work_dirs/cityscapes_test')
