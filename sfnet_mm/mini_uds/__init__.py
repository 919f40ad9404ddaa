"""Mini-UDS: drawn street scenes in the layouts of the four UDS data sets.

With this data set, you can train, test and demonstrate without any download. In about half a
minute, it draws images with all 19 classes from four domains, which differ in light, weather,
colors and camera as Cityscapes, IDD, Mapillary Vistas and BDD100K do.
"""

from .generate import ensure_mini_uds

__all__ = ['ensure_mini_uds']
