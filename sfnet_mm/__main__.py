"""``python -m sfnet_mm`` prints the versions that a bug report needs."""

from sfnet_mm.utils.versions import versions


def main() -> None:
    """Print one version per line."""
    found = versions()
    width = max(map(len, found)) + 1
    for name, value in found.items():
        print(f'{name + ":":<{width}} {"; ".join(value.splitlines())}')


if __name__ == '__main__':
    main()
