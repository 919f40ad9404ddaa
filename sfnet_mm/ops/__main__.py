"""``python -m sfnet_mm.ops``: what is compiled, for which architectures, what 'auto' picks."""

from ._loader import EXT

if __name__ == '__main__':
    print(EXT.describe())
