from .centroid_index import CentroidIndex, class_centroids, tile_edges
from .class_uniform_dataset import ClassUniformDataset
from .class_uniform_sampler import ClassUniformSampler

__all__ = [
    'CentroidIndex',
    'ClassUniformDataset',
    'ClassUniformSampler',
    'class_centroids',
    'tile_edges',
]
