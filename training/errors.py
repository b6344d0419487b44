"""Errors of the package, one tree.

    TrainingError
    ├── ConfigError      the configuration lacks or contradicts something; names the key
    ├── DatasetError     records or lines that cannot be trained on; names the file and line
    ├── ProviderError    the fine-tuning provider refused, failed, or did not answer
    └── GateError        a candidate may not be promoted

Every error has a stable `code` and a message that says what happened, to what, and what to do next.
"""


class TrainingError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ConfigError(TrainingError): ...


class DatasetError(TrainingError): ...


class ProviderError(TrainingError): ...


class GateError(TrainingError): ...
