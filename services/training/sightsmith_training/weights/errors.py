"""The one way in which this package says that weights cannot be had."""


class WeightsError(RuntimeError):
    """Weights that are missing, damaged or not the right ones; the message says what to do about it."""
