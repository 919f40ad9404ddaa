"""``python -m sfnet_mm``: the versions that a bug report needs."""

from sfnet_mm.utils.versions import versions


def main() -> None:
    """Print them, a line each."""
    found = versions()
    width = max(map(len, found)) + 1
    for name, value in found.items():
        print(f'{name + ":":<{width}} {"; ".join(value.splitlines())}')


if __name__ == '__main__':
    main()
