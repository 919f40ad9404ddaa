_base_ = './sfnet_stdc1_city2miniuds.py'
model = dict(type='ISWEncoderDecoder')
# Six epochs of 60 images in batches of 8, as in the full-size configs.
default_hooks = dict(isw=dict(type='ISWHook', begin_iter=45, num_images=60, trials=3))
