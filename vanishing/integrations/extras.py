"""The error where a framework is not installed: it names the extra that brings it."""

from vanishing.errors import StudyError


def not_installed(package: str, extra: str) -> StudyError:
    """Return the error for a module that needs a package.

    Args:
        package: As it is imported.
        extra: Of vanishing-gradients, which is the module's name too.

    Returns:
        The error, to be raised.
    """
    return StudyError(
        f"vanishing.integrations.{extra}: {package} is not installed; install the extra {extra}:"
        f" pip install 'vanishing-gradients[{extra}]', or '.[{extra}]' in a clone"
    )
