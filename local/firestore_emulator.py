"""The Firestore emulator that comes with the Google Cloud CLI: where it is on this machine, and how to start it."""

import shutil
from pathlib import Path

JAR = Path("platform/cloud-firestore-emulator/cloud-firestore-emulator.jar")
MAIN = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"


class EmulatorMissing(Exception):
    """This machine lacks the emulator; the message says how to get it."""


def command(host: str, port: int) -> tuple[str, ...]:
    """Starts the emulator, with nothing in it. EmulatorMissing when it cannot be."""
    gcloud, java = shutil.which("gcloud"), shutil.which("java")
    if gcloud is None:
        raise EmulatorMissing(
            "the Firestore emulator needs the Google Cloud CLI: install it (https://cloud.google.com/sdk/docs/install) "
            "and run: gcloud components install cloud-firestore-emulator"
        )
    jar = Path(gcloud).resolve().parent.parent / JAR
    if not jar.exists():
        raise EmulatorMissing(
            "the Google Cloud CLI lacks the Firestore emulator; run: gcloud components install cloud-firestore-emulator"
            " (or: apt-get install google-cloud-cli-firestore-emulator)"
        )
    if java is None:
        raise EmulatorMissing("the Firestore emulator needs Java 17; run: apt-get install openjdk-17-jre-headless")
    return (java, "-Xmx1g", "-cp", str(jar), MAIN, "start", "--host", host, "--port", str(port))
