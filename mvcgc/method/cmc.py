"""CMC and IIC: cross guidance without mining."""

from mvcgc.method.base import Method, other_view


class CMC(Method):
    """Score each view against the other view's keys, the own pair being the only positive."""

    version = 1
    views = 2

    def target(self, view: str, views: tuple[str, ...]) -> str:
        """Return the other view."""
        return other_view(view, views)
