"""The quotas for other gateways: over HTTP, and as Envoy asks."""
