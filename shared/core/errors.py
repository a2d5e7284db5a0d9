"""Every error a caller can see, as one tree.

    OmniError                          500
      InvalidRequest                   400
      Unauthenticated                  401
      PermissionDenied                 403
      NotFound                         404
      MethodNotAllowed                 405
      BodyTimeout                      408
      Conflict                         409
      PayloadTooLarge                  413
      KeyReused                        422
      RateLimited                      429
        BudgetExceeded                 429
      HeadersTooLarge                  431
      NotInstalled                     501
      UpstreamFailed                   502
      Unavailable                      503
      UpstreamTimeout                  504

The class owns the status, the type and the code; its docstring is the message when none is given.
`detail` is for the log and never leaves the process.
"""


class OmniError(Exception):
    """Something went wrong on our side."""

    status = 500
    type = "server_error"
    code = "internal_error"

    def __init__(
        self,
        message: str = "",
        *,
        param: str | None = None,
        code: str = "",
        detail: str = "",
        retry_after_s: float | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.message = message or (type(self).__doc__ or "")
        self.param = param
        self.code = code or type(self).code
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.headers = headers
        self.nothing_was_done = False
        """Whether it is known that what was asked for has not even begun."""
        super().__init__(self.message)


class InvalidRequest(OmniError):
    """The request is not valid."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_request"


class Unauthenticated(InvalidRequest):
    """No valid API key was given. Send it as 'Authorization: Bearer <key>' or 'x-api-key: <key>'."""

    status = 401
    type = "authentication_error"
    code = "invalid_api_key"


class PermissionDenied(InvalidRequest):
    """This key may not do that."""

    status = 403
    type = "permission_error"
    code = "permission_denied"


class NotFound(InvalidRequest):
    """There is nothing at this address."""

    status = 404
    code = "not_found"


class MethodNotAllowed(InvalidRequest):
    """This address does not take that method."""

    status = 405
    code = "method_not_allowed"


class BodyTimeout(InvalidRequest):
    """The request body did not arrive in time."""

    status = 408
    code = "body_timeout"


class Conflict(InvalidRequest):
    """The resource is not in a state that allows this."""

    status = 409
    code = "conflict"


class PayloadTooLarge(InvalidRequest):
    """The request body is too large."""

    status = 413
    code = "payload_too_large"


class KeyReused(InvalidRequest):
    """This Idempotency-Key came before with another request."""

    status = 422
    code = "idempotency_key_reused"


class RateLimited(OmniError):
    """The rate limit is reached."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"


class BudgetExceeded(RateLimited):
    """The budget is spent."""

    type = "insufficient_quota"
    code = "budget_exceeded"


class HeadersTooLarge(InvalidRequest):
    """The request headers are too large."""

    status = 431
    code = "headers_too_large"


class NotInstalled(OmniError):
    """This route needs an optional part that is not installed."""

    status = 501
    code = "not_installed"


class UpstreamFailed(OmniError):
    """The model's server gave no usable answer."""

    status = 502
    type = "upstream_error"
    code = "upstream_failed"


class Unavailable(OmniError):
    """A service this request needs is not available."""

    status = 503
    type = "service_unavailable_error"
    code = "unavailable"


class UpstreamTimeout(UpstreamFailed):
    """The model's server did not answer in time."""

    status = 504
    code = "upstream_timeout"


class BadDocument(ValueError):
    """A document of the store cannot be read; the message says which and why."""
