# UDS, where each image is tested at its own size, shrunk to fit 2048x1536, and scored at the size
# of its label. A config names it in the place of uds.py.
_base_ = ['./driving.py']
