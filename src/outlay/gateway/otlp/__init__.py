"""What the gateway tells an OpenTelemetry backend of its calls: spans and metrics, sent over OTLP/HTTP.

Nothing of this is imported unless the settings name an endpoint.
"""
