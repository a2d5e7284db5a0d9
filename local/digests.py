"""`./omni lock --digests`: base images by digest beside their tag, as the registries tell it now. Needs a network."""

import re
from collections.abc import Callable
from pathlib import Path

import httpx

CHECKOUT = Path(__file__).resolve().parent.parent
FILES = (
    *("jobs/ml_worker/Dockerfile", "jobs/ml_worker/Dockerfile.cpu", "deploy/Dockerfile", "deploy/Dockerfile.toolbox"),
    "docker-compose.yml",
)
BUILT_HERE = {"omni:compose", "ml-worker:cpu"}
REFERENCE = re.compile(r"^(\s*(?:FROM|image:) +)([a-z0-9][a-z0-9./-]*:[\w.-]+)(?:@sha256:[0-9a-f]{64})?", re.MULTILINE)
DOCKER_HUB = "registry-1.docker.io"
TAKES = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        *("oci.image.index.v1", "docker.distribution.manifest.list.v2"),
        *("oci.image.manifest.v1", "docker.distribution.manifest.v2"),
    )
)
CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class NoDigest(Exception):
    """A registry does not tell an image's digest; the message names the image."""


def write(ask: Callable[[str], str], checkout: Path = CHECKOUT) -> dict[str, str]:
    """Writes the digests into the files, all or none of them; the images with their digests."""
    texts = {checkout / file: (checkout / file).read_text() for file in FILES}
    images = {found[2] for text in texts.values() for found in REFERENCE.finditer(text)} - BUILT_HERE
    digests = {image: ask(image) for image in sorted(images)}
    for file, text in texts.items():
        file.write_text(REFERENCE.sub(lambda found: _pinned(found, digests), text))
    return digests


def _pinned(found: re.Match[str], digests: dict[str, str]) -> str:
    return f"{found[1]}{found[2]}@{digests[found[2]]}" if found[2] in digests else found[0]


def digest(client: httpx.Client, image: str) -> str:
    """As its registry tells it: of the list of all platforms, where there is one. NoDigest."""
    name, _, tag = image.rpartition(":")
    host, _, path = name.partition("/") if "." in name.partition("/")[0] else (DOCKER_HUB, "", name)
    url = f"https://{host}/v2/{path if '/' in path else f'library/{path}'}/manifests/{tag}"
    try:
        answer = client.head(url, headers={"accept": TAKES})
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            token = _token(client, answer.headers.get("www-authenticate", ""))
            answer = client.head(url, headers={"accept": TAKES, "authorization": f"Bearer {token}"})
        told = answer.raise_for_status().headers.get("docker-content-digest", "")
    except (httpx.HTTPError, KeyError) as error:
        raise NoDigest(f"The registry does not tell the digest of {image}: {error}.") from None
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", told):
        raise NoDigest(f"The registry tells no digest of {image}.")
    return str(told)


def _token(client: httpx.Client, challenge: str) -> str:
    """That a registry gives to anybody who asks where it says."""
    asked = dict(CHALLENGE.findall(challenge))
    answer = client.get(asked.pop("realm"), params=asked).raise_for_status().json()
    return str(answer.get("token") or answer["access_token"])
