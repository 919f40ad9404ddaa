"""Downloads a file and checks that it is complete."""

import hashlib
import http.client
from urllib.request import Request, urlopen

_TIMEOUT = 60  # seconds without data after which a download counts as broken off


def download(url: str, path: str, progress: bool = True, digest: str = '') -> None:
    """Fetch all bytes of an address into a file.

    Args:
        url: The address.
        path: Path of the file.
        progress: Show a progress bar.
        digest: Beginning of the SHA-256 that the file must have, in hexadecimal.

    Raises:
        OSError: The server does not answer, the download broke off, or the digest differs.
    """
    from torch.hub import tqdm

    sha256 = hashlib.sha256()
    try:
        request = Request(url, headers={'User-Agent': 'sfnet_mm'})
        with urlopen(request, timeout=_TIMEOUT) as answer, open(path, 'wb') as file:
            length = answer.headers.get('Content-Length')
            total = int(length) if length else None
            print(f'Downloading: "{url}"')
            with tqdm(total=total, disable=not progress, unit='B', unit_scale=True) as bar:
                for data in iter(lambda: answer.read(1 << 17), b''):
                    file.write(data)
                    sha256.update(data)
                    bar.update(len(data))
            if total is not None and file.tell() != total:
                raise OSError(f'the download broke off after {file.tell()} of {total} bytes')
    except http.client.HTTPException as e:
        raise OSError(f'checkpoint {url} cannot be fetched: the download broke off ({e})') from None
    except OSError as e:
        raise OSError(f'checkpoint {url} cannot be fetched: {e}') from None
    if not sha256.hexdigest().startswith(digest):
        raise OSError(f'checkpoint {url} does not have the SHA-256 of its name, {digest}')
