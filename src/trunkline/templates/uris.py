"""Which function an integration or an authorizer names."""

from __future__ import annotations

import re

__all__ = ["function_name"]

_LONGEST = 2048
_PATH = re.compile(r":lambda:path/[^/]+/functions/(?P<function>.+)/invocations\Z", re.DOTALL)
_ARN = re.compile(r"(?:arn:[^:]+:lambda:[^:]*:)?(?:[0-9]{12}:)?function:(?P<name>.+)\Z", re.DOTALL)
_NAME = re.compile(r"(?:[A-Za-z0-9_-]|\$\{stageVariables\.[A-Za-z0-9_]+\})+")


def function_name(uri: str) -> str | None:
    """The function of a URI: its name, without version or alias, perhaps with `${stageVariables.NAME}` in it.

    Args:
        uri: `arn:...:lambda:path/2015-03-31/functions/{ARN or name}/invocations`, a function's ARN, or its name.

    Returns:
        None where it names no function.
    """
    if len(uri) > _LONGEST:
        return None
    path = _PATH.search(uri)
    function = path["function"] if path else uri
    arn = _ARN.match(function)
    name = _NAME.match(arn["name"] if arn else function)
    rest = (arn["name"] if arn else function)[name.end() :] if name else "x"
    return name[0] if name and (not rest or rest.startswith(":")) and not _of_other(uri, path, arn) else None


def _of_other(uri: str, path: re.Match[str] | None, arn: re.Match[str] | None) -> bool:
    """Whether it is an ARN or a URL of something else."""
    return path is None and arn is None and uri.startswith(("arn:", "http:", "https:"))
