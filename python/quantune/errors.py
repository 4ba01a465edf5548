"""The errors a user can cause. Everything else is a bug and may show a traceback."""


class QuantuneError(Exception):
    """A mistake in the user's input; the message is one line that names the culprit and what to do."""


class UnsupportedError(QuantuneError):
    """Well-formed input that Quantune cannot handle (yet): dynamic shapes, an unknown operation, …"""


class PlanError(QuantuneError):
    """A plan that does not fit its schema or the model."""
