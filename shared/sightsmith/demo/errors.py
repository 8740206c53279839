"""What can go wrong with the demo, beyond what can go wrong anywhere."""


class DemoPhotosError(RuntimeError):
    """The demo photographs could not be had on this machine."""
