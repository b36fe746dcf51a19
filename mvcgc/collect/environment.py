"""Settings that MLflow takes from the environment, and only there."""

import os


def prepare_environment(timeout_s: float) -> None:
    """Make MLflow answer within bounds, quietly, and only to us. Before it is imported.

    By default a server that is down blocks one request for minutes: each is tried once here, because the next
    pass is the better repetition: it looks first whether the lost request had arrived after all.
    """
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(max(1, round(timeout_s)))
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
